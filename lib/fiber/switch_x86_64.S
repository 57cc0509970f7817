/* SPDX-License-Identifier: MIT */
/*
 * switch_x86_64.S - switching by the System V convention for AMD64.
 *
 * It ends in a jump: the processor foretells where a `ret` goes from the calls
 * that it has seen, and after a switch is wrong every time, which costs three
 * times as much as the switch.  No shadow stack is claimed: one that the
 * kernel keeps would have to be switched too.
 */
#if defined(__x86_64__) && defined(__LP64__)

    .text

    /* void tcpx__context_switch(from: rdi, to: rsi) */
    .globl tcpx__context_switch
    .hidden tcpx__context_switch
    .type tcpx__context_switch, @function
    .p2align 4
tcpx__context_switch:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0

    /* Both stacks look alike here, so that what is said of where things lie
       stays true. */
    movq %rsp, (%rdi)
    movq (%rsi), %rsp

    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    popq %rdx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rdx
    jmp *%rdx
    .cfi_endproc
    .size tcpx__context_switch, . - tcpx__context_switch

    /* Where a new context begins: r12 is to be called with r13.  Nothing
       called this, which is what tells a debugger that the stack ends. */
    .globl tcpx__context_start
    .hidden tcpx__context_start
    .type tcpx__context_start, @function
    .p2align 4
tcpx__context_start:
    .cfi_startproc
    .cfi_undefined %rip
    movq %r13, %rdi
    xorl %ebp, %ebp
    call *%r12
    ud2
    .cfi_endproc
    .size tcpx__context_start, . - tcpx__context_start

#endif
    /* Without it the linker gives the whole program an executable stack. */
    .section .note.GNU-stack, "", @progbits
