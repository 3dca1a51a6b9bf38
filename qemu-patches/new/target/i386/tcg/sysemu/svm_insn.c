/*
 * SVM: length and operands of the instructions that a hypervisor intercepts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "svm_insn.h"

enum { REX_B = 1, REX_X = 2, REX_R = 4 };

typedef struct Cursor {
    const uint8_t *buf;
    size_t pos;
    size_t end;
    int code_bits;
    uint8_t rex;
    int seg;
    bool addr_toggled;
} Cursor;

static bool take(Cursor *c, uint8_t *byte)
{
    if (c->pos >= c->end) {
        return false;
    }
    *byte = c->buf[c->pos++];
    return true;
}

/* True if @byte is a legacy prefix; remembers what it changes. */
static bool legacy_prefix(Cursor *c, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        /* ES, CS, SS and DS have no base in 64-bit mode. */
        if (c->code_bits != 64) {
            c->seg = (byte >> 3) & 3;
        }
        return true;
    case 0x64:
    case 0x65:
        c->seg = byte & 7;
        return true;
    case 0x67:
        c->addr_toggled = true;
        return true;
    case 0x66:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

/* Consume the prefixes and the first byte after them. */
static bool take_prefixes(Cursor *c, uint8_t *byte)
{
    while (take(c, byte)) {
        if (legacy_prefix(c, *byte)) {
            /* REX counts in front of the opcode only. */
            c->rex = 0;
        } else if (c->code_bits == 64 && (*byte & 0xf0) == 0x40) {
            c->rex = *byte;
        } else {
            return true;
        }
    }
    return false;
}

static bool take_opcode(Cursor *c, uint16_t *opcode)
{
    uint8_t byte;

    if (!take_prefixes(c, &byte)) {
        return false;
    }
    *opcode = byte;
    if (byte != 0x0f) {
        return true;
    }
    if (!take(c, &byte)) {
        return false;
    }
    *opcode = SVM_INSN_0F | byte;
    if (byte != 0x38) {
        return true;
    }
    if (!take(c, &byte)) {
        return false;
    }
    *opcode = SVM_INSN_0F38 | byte;
    return true;
}

static bool take_disp(Cursor *c, size_t bytes, int32_t *disp)
{
    const uint8_t *p = c->buf + c->pos;

    if (c->end - c->pos < bytes) {
        return false;
    }
    c->pos += bytes;
    *disp = bytes == 0 ? 0
            : bytes == 1 ? (int8_t)*p
            : bytes == 2 ? lduw_le_p(p)
            : ldl_le_p(p);
    return true;
}

static bool decode_mem16(Cursor *c, SvmInsn *insn)
{
    enum { BX = 3, BP = 5, SI = 6, DI = 7 };
    static const int8_t base[8] = { BX, BX, BP, BP, SI, DI, BP, BX };
    static const int8_t index[4] = { SI, DI, SI, DI };
    int mod = insn->modrm >> 6;
    int rm = insn->modrm & 7;

    if (mod == 0 && rm == 6) {
        return take_disp(c, 2, &insn->disp);
    }
    insn->base = base[rm];
    if (rm < 4) {
        insn->index = index[rm];
    }
    if (insn->base == BP) {
        insn->seg = SVM_INSN_SS;
    }
    return take_disp(c, mod, &insn->disp);
}

static bool decode_mem32(Cursor *c, SvmInsn *insn)
{
    enum { SP = 4, BP = 5 };
    int mod = insn->modrm >> 6;
    int base = insn->modrm & 7;
    bool sib = base == 4;
    uint8_t byte;

    if (sib) {
        if (!take(c, &byte)) {
            return false;
        }
        base = byte & 7;
        insn->scale = byte >> 6;
        insn->index = ((byte >> 3) & 7) | (c->rex & REX_X ? 8 : 0);
        /* 4 stands for no index; with REX.X it is R12. */
        if (insn->index == SP) {
            insn->index = SVM_INSN_NO_REG;
        }
    }
    if (mod == 0 && base == 5) {
        insn->rip_relative = !sib && c->code_bits == 64;
        return take_disp(c, 4, &insn->disp);
    }
    insn->base = base | (c->rex & REX_B ? 8 : 0);
    if (insn->base == SP || insn->base == BP) {
        insn->seg = SVM_INSN_SS;
    }
    return take_disp(c, mod == 2 ? 4 : mod, &insn->disp);
}

static bool decode_modrm(Cursor *c, SvmInsn *insn)
{
    /* The mod field of MOV to and from CR and DR means nothing. */
    bool mov_cr_dr = insn->opcode >= (SVM_INSN_0F | 0x20) &&
                     insn->opcode <= (SVM_INSN_0F | 0x23);

    if (!take(c, &insn->modrm)) {
        return false;
    }
    insn->has_modrm = true;
    insn->reg = ((insn->modrm >> 3) & 7) | (c->rex & REX_R ? 8 : 0);
    insn->rm = (insn->modrm & 7) | (c->rex & REX_B ? 8 : 0);
    insn->is_mem = insn->modrm < 0xc0 && !mov_cr_dr;
    if (!insn->is_mem) {
        return true;
    }
    insn->seg = SVM_INSN_DS;
    if (!(insn->addr_shift == 1 ? decode_mem16 : decode_mem32)(c, insn)) {
        return false;
    }
    if (c->seg >= 0) {
        insn->seg = c->seg;
    }
    return true;
}

/* What follows the opcode. */
static bool decode_rest(Cursor *c, SvmInsn *insn)
{
    switch (insn->opcode) {
    case 0x6c ... 0x6f:             /* INS, OUTS */
    case 0x90:                      /* PAUSE */
    case 0x9c:                      /* PUSHF */
    case 0x9d:                      /* POPF */
    case 0xcc:                      /* INT3 */
    case 0xcf:                      /* IRET */
    case 0xec ... 0xef:             /* IN, OUT with DX */
    case 0xf1:                      /* ICEBP */
    case 0xf4:                      /* HLT */
    case SVM_INSN_0F | 0x06:        /* CLTS */
    case SVM_INSN_0F | 0x08:        /* INVD */
    case SVM_INSN_0F | 0x09:        /* WBINVD */
    case SVM_INSN_0F | 0x30:        /* WRMSR */
    case SVM_INSN_0F | 0x31:        /* RDTSC */
    case SVM_INSN_0F | 0x32:        /* RDMSR */
    case SVM_INSN_0F | 0x33:        /* RDPMC */
    case SVM_INSN_0F | 0xa2:        /* CPUID */
    case SVM_INSN_0F | 0xaa:        /* RSM */
        return true;
    case 0xce:                      /* INTO */
        return c->code_bits != 64;
    case 0xcd:                      /* INTn */
    case 0xe4 ... 0xe7:             /* IN, OUT with a port number */
        return take(c, &insn->imm);
    case 0x62:                      /* BOUND; EVEX where the operand is none */
        return c->code_bits != 64 && decode_modrm(c, insn) && insn->is_mem;
    case SVM_INSN_0F | 0x00:        /* SLDT, STR, LLDT, LTR */
    case SVM_INSN_0F | 0x01:        /* descriptor tables, MSW, SVM, ... */
    case SVM_INSN_0F | 0x20 ... SVM_INSN_0F | 0x23: /* MOV CR, MOV DR */
    case SVM_INSN_0F38 | 0x82:      /* INVPCID */
        return decode_modrm(c, insn);
    default:
        return false;
    }
}

bool svm_insn_decode(const uint8_t *buf, size_t avail, int code_bits,
                     SvmInsn *insn)
{
    Cursor c = {
        .buf = buf,
        .end = MIN(avail, SVM_INSN_MAX_LEN),
        .code_bits = code_bits,
        .seg = -1,
    };

    *insn = (SvmInsn) { .base = SVM_INSN_NO_REG, .index = SVM_INSN_NO_REG };
    if (!take_opcode(&c, &insn->opcode)) {
        return false;
    }
    switch (code_bits) {
    case 16:
        insn->addr_shift = c.addr_toggled ? 2 : 1;
        break;
    case 32:
        insn->addr_shift = c.addr_toggled ? 1 : 2;
        break;
    default:
        insn->addr_shift = c.addr_toggled ? 2 : 3;
        break;
    }
    if (!decode_rest(&c, insn)) {
        return false;
    }
    insn->len = c.pos;
    return true;
}
