/*
 * SVM: length and operands of the instructions that a hypervisor intercepts.
 *
 * Knows no CPU state: bytes in, description out, so that a unit test can use
 * it. It decodes nothing else; any other instruction is an error, never a
 * guess.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_SVM_INSN_H
#define I386_SVM_INSN_H

#define SVM_INSN_MAX_LEN 15

/* Two-byte opcodes (0f xx), and three-byte ones (0f 38 xx). */
#define SVM_INSN_0F   0x100
#define SVM_INSN_0F38 0x200

/* No register: a memory operand without base or index. */
#define SVM_INSN_NO_REG (-1)

/* Segments, numbered as in the instruction encoding. */
enum { SVM_INSN_SS = 2, SVM_INSN_DS = 3 };

typedef struct SvmInsn {
    /* Bytes, prefixes included. */
    uint8_t len;
    /* log2 of the address size in bytes: 1, 2 or 3. */
    uint8_t addr_shift;
    uint16_t opcode;
    bool has_modrm;
    uint8_t modrm;
    /* ModRM fields with their REX bit: general register numbers 0 to 15. */
    uint8_t reg;
    uint8_t rm;
    /* Immediate byte of INTn, IN and OUT. */
    uint8_t imm;
    /*
     * The memory operand of a ModRM byte:
     * base + (index << scale) + disp, or disp after the instruction's end.
     */
    bool is_mem;
    bool rip_relative;
    uint8_t seg;
    int8_t base;
    int8_t index;
    uint8_t scale;
    int32_t disp;
} SvmInsn;

/*
 * Decode the instruction at @buf, of which @avail bytes are known, for code
 * whose default sizes are those of @code_bits (16, 32 or 64).
 * False if the instruction is none that SVM intercepts, or is not complete.
 */
bool svm_insn_decode(const uint8_t *buf, size_t avail, int code_bits,
                     SvmInsn *insn);

#endif
