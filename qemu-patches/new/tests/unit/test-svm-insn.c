/*
 * Test of the decoder behind the decode assists of emulated SVM.
 *
 * The lengths are those that GNU as gave the instructions; the operands are
 * what its text says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "../../target/i386/tcg/sysemu/svm_insn.h"

static const struct {
    int bits;
    size_t len;
    const char *bytes;
    const char *text;
} table[] = {
    { 16, 1, "\xf4", "hlt" },
    { 16, 2, "\x0f\xa2", "cpuid" },
    { 16, 1, "\xcc", "int3" },
    { 16, 2, "\xcd\x80", "int $0x80" },
    { 16, 1, "\xce", "into" },
    { 16, 1, "\xcf", "iretw" },
    { 16, 1, "\x9c", "pushfw" },
    { 16, 1, "\x9d", "popfw" },
    { 16, 2, "\xe4\x60", "in $0x60,%al" },
    { 16, 2, "\xe6\x80", "out %al,$0x80" },
    { 16, 1, "\xec", "in (%dx),%al" },
    { 16, 1, "\xef", "outw %ax,(%dx)" },
    { 16, 2, "\xf3\x6c", "rep insb (%dx),%es:(%di)" },
    { 16, 2, "\x2e\x6e", "cs outsb %cs:(%si),(%dx)" },
    { 16, 3, "\x0f\x20\xc0", "mov %cr0,%eax" },
    { 16, 3, "\x0f\x22\xc0", "mov %eax,%cr0" },
    { 16, 3, "\x0f\x01\xf0", "lmsw %ax" },
    { 16, 3, "\x0f\x01\x30", "lmsw (%bx,%si)" },
    { 16, 5, "\x0f\x01\x26\x34\x12", "smsw 0x1234" },
    { 16, 4, "\x0f\x01\x66\xfe", "smsw -2(%bp)" },
    { 16, 6, "\x66\x0f\x01\x16\x40\x7c", "lgdtl 0x7c40" },
    { 16, 7, "\x2e\x66\x0f\x01\x16\x40\x7c", "lgdtl %cs:0x7c40" },
    { 16, 5, "\x67\x0f\x01\x1c\xc8", "lidtw (%eax,%ecx,8)" },
    { 16, 3, "\x62\x46\x00", "bound %ax,(%bp)" },
    { 16, 2, "\x0f\x32", "rdmsr" },
    { 16, 3, "\x0f\x01\xd9", "vmmcall" },
    { 32, 1, "\xf4", "hlt" },
    { 32, 2, "\x0f\xa2", "cpuid" },
    { 32, 2, "\x0f\x31", "rdtsc" },
    { 32, 3, "\x0f\x01\xf9", "rdtscp" },
    { 32, 2, "\x0f\x33", "rdpmc" },
    { 32, 2, "\xf3\x90", "pause" },
    { 32, 1, "\xcf", "iret" },
    { 32, 3, "\x62\x41\x04", "bound %eax,4(%ecx)" },
    { 32, 3, "\x0f\x01\x38", "invlpg (%eax)" },
    { 32, 7, "\x0f\x01\x3d\x78\x56\x34\x12", "invlpg 0x12345678" },
    { 32, 4, "\x0f\x01\x3c\x24", "invlpg (%esp)" },
    { 32, 8, "\x0f\x01\xbc\xbd\x78\x56\x34\x12",
      "invlpg 0x12345678(%ebp,%edi,4)" },
    { 32, 5, "\x64\x67\x0f\x01\x39", "invlpg %fs:(%bx,%di)" },
    { 32, 6, "\x67\x0f\x01\xbe\xff\x7f", "invlpg 0x7fff(%bp)" },
    { 32, 3, "\x0f\x01\x02", "sgdt (%edx)" },
    { 32, 4, "\x66\x0f\x00\xc0", "sldt %ax" },
    { 32, 3, "\x0f\x00\x00", "sldt (%eax)" },
    { 32, 3, "\x0f\x00\xd9", "ltr %cx" },
    { 32, 4, "\x0f\x00\x4b\x08", "str 8(%ebx)" },
    { 32, 3, "\x0f\x20\xdf", "mov %cr3,%edi" },
    { 32, 3, "\x0f\x21\xf8", "mov %dr7,%eax" },
    { 32, 3, "\x0f\x23\xf2", "mov %edx,%dr6" },
    { 32, 1, "\x9c", "pushf" },
    { 32, 2, "\x66\x9d", "popfw" },
    { 32, 1, "\xcc", "int $3" },
    { 64, 1, "\xf4", "hlt" },
    { 64, 2, "\x0f\xa2", "cpuid" },
    { 64, 2, "\x0f\x32", "rdmsr" },
    { 64, 2, "\x0f\x30", "wrmsr" },
    { 64, 2, "\x0f\x31", "rdtsc" },
    { 64, 3, "\x0f\x01\xf9", "rdtscp" },
    { 64, 2, "\x0f\x33", "rdpmc" },
    { 64, 2, "\xf3\x90", "pause" },
    { 64, 2, "\x0f\x08", "invd" },
    { 64, 2, "\x0f\x09", "wbinvd" },
    { 64, 2, "\x0f\x06", "clts" },
    { 64, 2, "\x0f\xaa", "rsm" },
    { 64, 3, "\x0f\x01\xc8", "monitor" },
    { 64, 3, "\x0f\x01\xc9", "mwait" },
    { 64, 3, "\x0f\x01\xd1", "xsetbv" },
    { 64, 3, "\x0f\x01\xd8", "vmrun" },
    { 64, 3, "\x0f\x01\xd9", "vmmcall" },
    { 64, 3, "\x0f\x01\xda", "vmload" },
    { 64, 3, "\x0f\x01\xdb", "vmsave" },
    { 64, 3, "\x0f\x01\xdc", "stgi" },
    { 64, 3, "\x0f\x01\xdd", "clgi" },
    { 64, 3, "\x0f\x01\xde", "skinit" },
    { 64, 3, "\x0f\x01\xdf", "invlpga" },
    { 64, 1, "\xf1", "int1" },
    { 64, 1, "\xcc", "int3" },
    { 64, 2, "\xcd\xff", "int $0xff" },
    { 64, 2, "\x48\xcf", "iretq" },
    { 64, 1, "\x9c", "pushfq" },
    { 64, 1, "\x9d", "popf" },
    { 64, 2, "\xe5\x21", "in $0x21,%eax" },
    { 64, 2, "\xe6\x70", "out %al,$0x70" },
    { 64, 1, "\xed", "in (%dx),%eax" },
    { 64, 2, "\xf3\x6f", "rep outsl %ds:(%rsi),(%dx)" },
    { 64, 3, "\x0f\x20\xc0", "mov %cr0,%rax" },
    { 64, 4, "\x41\x0f\x20\xd7", "mov %cr2,%r15" },
    { 64, 4, "\x45\x0f\x20\xc1", "mov %cr8,%r9" },
    { 64, 3, "\x0f\x22\xe7", "mov %rdi,%cr4" },
    { 64, 4, "\x45\x0f\x22\xc0", "mov %r8,%cr8" },
    { 64, 4, "\x41\x0f\x21\xfc", "mov %dr7,%r12" },
    { 64, 3, "\x0f\x23\xc3", "mov %rbx,%dr0" },
    { 64, 3, "\x0f\x01\xf3", "lmsw %bx" },
    { 64, 4, "\x49\x0f\x01\xe3", "smsw %r11" },
    { 64, 5, "\x41\x0f\x01\x65\x10", "smsw 0x10(%r13)" },
    { 64, 3, "\x0f\x01\x3f", "invlpg (%rdi)" },
    { 64, 5, "\x41\x0f\x01\x3c\x24", "invlpg (%r12)" },
    { 64, 5, "\x41\x0f\x01\x7d\x00", "invlpg (%r13)" },
    { 64, 6, "\x42\x0f\x01\x7c\x65\xff", "invlpg -1(%rbp,%r12,2)" },
    { 64, 7, "\x0f\x01\x3d\x44\x33\x22\x11", "invlpg 0x11223344(%rip)" },
    { 64, 8, "\x0f\x01\x3c\x25\x00\x10\x00\x00", "invlpg 0x1000" },
    { 64, 8, "\x0f\x01\x3c\xc5\x00\x00\x00\x00", "invlpg (,%rax,8)" },
    { 64, 6, "\x65\x0f\x01\x7c\x24\x40", "invlpg %gs:0x40(%rsp)" },
    { 64, 4, "\x67\x0f\x01\x3f", "invlpg (%edi)" },
    { 64, 5, "\x0f\x01\x54\x24\x20", "lgdt 0x20(%rsp)" },
    { 64, 3, "\x0f\x01\x18", "lidt (%rax)" },
    { 64, 9, "\x43\x0f\x01\x8c\x91\x88\x77\x66\x55",
      "sidt 0x55667788(%r9,%r10,4)" },
    { 64, 4, "\x41\x0f\x00\xc8", "str %r8" },
    { 64, 5, "\x66\x0f\x38\x82\x18", "invpcid (%rax),%rbx" },
};

/* What comes after an instruction must not matter: these are prefixes. */
static void pad(uint8_t buf[32], const char *bytes, size_t len)
{
    memset(buf, 0x66, 32);
    memcpy(buf, bytes, len);
}

static void test_length(void)
{
    SvmInsn insn;
    uint8_t buf[32];
    size_t i, avail;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        g_test_message("%d bits: %s", table[i].bits, table[i].text);
        pad(buf, table[i].bytes, table[i].len);
        g_assert_true(svm_insn_decode(buf, 32, table[i].bits, &insn));
        g_assert_cmpint(insn.len, ==, table[i].len);
        g_assert_true(svm_insn_decode(buf, table[i].len, table[i].bits, &insn));
        for (avail = 0; avail < table[i].len; avail++) {
            g_assert_false(svm_insn_decode(buf, avail, table[i].bits, &insn));
        }
    }
}

static void test_prefix(void)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                        0x66, 0xf0, 0xf2, 0xf3 };
    SvmInsn insn;
    uint8_t buf[32];
    size_t i, n;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        for (n = 0; n < ARRAY_SIZE(prefixes); n++) {
            memset(buf, 0x66, sizeof(buf));
            buf[0] = prefixes[n];
            memcpy(buf + 1, table[i].bytes, table[i].len);
            g_assert_true(svm_insn_decode(buf, 32, table[i].bits, &insn));
            g_assert_cmpint(insn.len, ==, table[i].len + 1);
        }
    }
}

/* The longest instruction has 15 bytes; CPUID is two of them. */
static void test_limit(void)
{
    SvmInsn insn;
    uint8_t buf[32];

    memset(buf, 0x3e, sizeof(buf));
    memcpy(buf + 13, "\x0f\xa2", 2);
    g_assert_true(svm_insn_decode(buf, sizeof(buf), 64, &insn));
    g_assert_cmpint(insn.len, ==, 15);
    memset(buf, 0x3e, sizeof(buf));
    memcpy(buf + 14, "\x0f\xa2", 2);
    g_assert_false(svm_insn_decode(buf, sizeof(buf), 64, &insn));
    memset(buf, 0x3e, sizeof(buf));
    g_assert_false(svm_insn_decode(buf, sizeof(buf), 64, &insn));
}

static void test_unknown(void)
{
    static const struct {
        int bits;
        const char *bytes;
        const char *text;
    } unknown[] = {
        { 64, "\xce", "INTO" },
        { 64, "\x62\x00\x00\x00\x00\x00", "EVEX" },
        { 32, "\x62\xc0\x00\x00\x00\x00", "EVEX" },
        { 64, "\x89\x03", "MOV" },
        { 16, "\x47", "INC, which is REX in 64-bit mode" },
        { 64, "\x0f\x05", "SYSCALL" },
        { 64, "\x0f\x38\x81\x00", "0f 38 81" },
        { 64, "\xc4\x41\x01\x30", "VEX" },
    };
    SvmInsn insn;
    uint8_t buf[32];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(unknown); i++) {
        g_test_message("%d bits: %s", unknown[i].bits, unknown[i].text);
        memset(buf, 0, sizeof(buf));
        memcpy(buf, unknown[i].bytes, strlen(unknown[i].bytes));
        g_assert_false(svm_insn_decode(buf, sizeof(buf), unknown[i].bits,
                                       &insn));
    }
}

static void decode(const char *text, SvmInsn *insn)
{
    uint8_t buf[32];
    size_t i;

    g_test_message("%s", text);
    for (i = 0; i < ARRAY_SIZE(table); i++) {
        if (g_str_equal(table[i].text, text)) {
            pad(buf, table[i].bytes, table[i].len);
            g_assert_true(svm_insn_decode(buf, 32, table[i].bits, insn));
            return;
        }
    }
    g_assert_not_reached();
}

static void test_register(void)
{
    static const struct {
        const char *text;
        uint16_t opcode;
        int reg;
        int rm;
    } regs[] = {
        { "mov %eax,%cr0", SVM_INSN_0F | 0x22, 0, 0 },
        { "mov %cr3,%edi", SVM_INSN_0F | 0x20, 3, 7 },
        { "mov %cr2,%r15", SVM_INSN_0F | 0x20, 2, 15 },
        { "mov %cr8,%r9", SVM_INSN_0F | 0x20, 8, 9 },
        { "mov %rdi,%cr4", SVM_INSN_0F | 0x22, 4, 7 },
        { "mov %r8,%cr8", SVM_INSN_0F | 0x22, 8, 8 },
        { "mov %dr7,%r12", SVM_INSN_0F | 0x21, 7, 12 },
        { "mov %edx,%dr6", SVM_INSN_0F | 0x23, 6, 2 },
        { "lmsw %bx", SVM_INSN_0F | 0x01, 6, 3 },
    };
    static const uint8_t mod0[] = { 0x0f, 0x22, 0x04, 0x25 };
    SvmInsn insn;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(regs); i++) {
        decode(regs[i].text, &insn);
        g_assert_cmphex(insn.opcode, ==, regs[i].opcode);
        g_assert_true(insn.has_modrm);
        g_assert_false(insn.is_mem);
        g_assert_cmpint(insn.reg, ==, regs[i].reg);
        g_assert_cmpint(insn.rm, ==, regs[i].rm);
    }
    /* A mod field of 0 makes no memory operand of MOV CR's register. */
    g_assert_true(svm_insn_decode(mod0, sizeof(mod0), 64, &insn));
    g_assert_cmpint(insn.len, ==, 3);
    g_assert_cmpint(insn.rm, ==, 4);
}

static void test_memory(void)
{
    enum { NO = SVM_INSN_NO_REG, SS = SVM_INSN_SS, DS = SVM_INSN_DS,
           CS = 1, FS = 4, GS = 5 };
    static const struct {
        const char *text;
        int addr_shift, seg, base, index, scale;
        int32_t disp;
        bool rip;
    } mem[] = {
        { "lmsw (%bx,%si)", 1, DS, 3, 6, 0, 0, false },
        { "smsw 0x1234", 1, DS, NO, NO, 0, 0x1234, false },
        { "smsw -2(%bp)", 1, SS, 5, NO, 0, -2, false },
        { "lgdtl %cs:0x7c40", 1, CS, NO, NO, 0, 0x7c40, false },
        { "lidtw (%eax,%ecx,8)", 2, DS, 0, 1, 3, 0, false },
        { "invlpg 0x12345678", 2, DS, NO, NO, 0, 0x12345678, false },
        { "invlpg (%esp)", 2, SS, 4, NO, 0, 0, false },
        { "invlpg 0x12345678(%ebp,%edi,4)", 2, SS, 5, 7, 2, 0x12345678, false },
        { "invlpg %fs:(%bx,%di)", 1, FS, 3, 7, 0, 0, false },
        { "invlpg 0x7fff(%bp)", 1, SS, 5, NO, 0, 0x7fff, false },
        { "invlpg (%rdi)", 3, DS, 7, NO, 0, 0, false },
        { "invlpg (%r12)", 3, DS, 12, NO, 0, 0, false },
        { "invlpg (%r13)", 3, DS, 13, NO, 0, 0, false },
        { "invlpg -1(%rbp,%r12,2)", 3, SS, 5, 12, 1, -1, false },
        { "invlpg 0x11223344(%rip)", 3, DS, NO, NO, 0, 0x11223344, true },
        { "invlpg 0x1000", 3, DS, NO, NO, 0, 0x1000, false },
        { "invlpg (,%rax,8)", 3, DS, NO, 0, 3, 0, false },
        { "invlpg %gs:0x40(%rsp)", 3, GS, 4, NO, 0, 0x40, false },
        { "invlpg (%edi)", 2, DS, 7, NO, 0, 0, false },
        { "sidt 0x55667788(%r9,%r10,4)", 3, DS, 9, 10, 2, 0x55667788, false },
    };
    SvmInsn insn;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(mem); i++) {
        decode(mem[i].text, &insn);
        g_assert_true(insn.is_mem);
        g_assert_cmpint(insn.addr_shift, ==, mem[i].addr_shift);
        g_assert_cmpint(insn.seg, ==, mem[i].seg);
        g_assert_cmpint(insn.base, ==, mem[i].base);
        g_assert_cmpint(insn.index, ==, mem[i].index);
        g_assert_cmpint(insn.scale, ==, mem[i].scale);
        g_assert_cmphex(insn.disp, ==, mem[i].disp);
        g_assert_cmpint(insn.rip_relative, ==, mem[i].rip);
    }
}

static void test_immediate(void)
{
    SvmInsn insn;

    decode("int $0x80", &insn);
    g_assert_cmphex(insn.imm, ==, 0x80);
    decode("int $0xff", &insn);
    g_assert_cmphex(insn.imm, ==, 0xff);
    decode("out %al,$0x70", &insn);
    g_assert_cmphex(insn.imm, ==, 0x70);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/svm-insn/length", test_length);
    g_test_add_func("/svm-insn/prefix", test_prefix);
    g_test_add_func("/svm-insn/limit", test_limit);
    g_test_add_func("/svm-insn/unknown", test_unknown);
    g_test_add_func("/svm-insn/register", test_register);
    g_test_add_func("/svm-insn/memory", test_memory);
    g_test_add_func("/svm-insn/immediate", test_immediate);
    return g_test_run();
}
