/* SPDX-License-Identifier: MIT */
/*
 * switch_aarch64.S - switching by the procedure call standard of AArch64.
 *
 * It ends in a plain branch, for the reason that switch_x86_64.S gives.
 */
#if defined(__aarch64__)

    .text

    /* void tcpx__context_switch(from: x0, to: x1) */
    .globl tcpx__context_switch
    .hidden tcpx__context_switch
    .type tcpx__context_switch, %function
    .p2align 4
tcpx__context_switch:
    .cfi_startproc
    stp x29, x30, [sp, #-160]!
    .cfi_def_cfa_offset 160
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x19, x20, [sp, #16]
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    stp x21, x22, [sp, #32]
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    stp x23, x24, [sp, #48]
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    stp x25, x26, [sp, #64]
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    stp x27, x28, [sp, #80]
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]

    /* Both stacks look alike here, so that what is said of where things lie
       stays true. */
    mov x9, sp
    str x9, [x0]
    ldr x9, [x1]
    mov sp, x9

    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x27, x28, [sp, #80]
    ldp x25, x26, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x30, [sp], #160
    .cfi_def_cfa_offset 0
    br x30
    .cfi_endproc
    .size tcpx__context_switch, . - tcpx__context_switch

    /* Where a new context begins: x19 is to be called with x20.  Nothing
       called this, which is what tells a debugger that the stack ends. */
    .globl tcpx__context_start
    .hidden tcpx__context_start
    .type tcpx__context_start, %function
    .p2align 4
tcpx__context_start:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
    .size tcpx__context_start, . - tcpx__context_start

#endif
    /* Without it the linker gives the whole program an executable stack. */
    .section .note.GNU-stack, "", %progbits
