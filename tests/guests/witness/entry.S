/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Entry, exception stubs and ELF notes, for both widths.
 *
 * In: the registers Xen's domain builder sets (or the loader). Everything is stored before anything is changed, and the
 * boot stack is never used, so that C can look at it as it was handed over. Nothing here writes to .bss.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>

#define NOTE(id, kind, value...)        \
    .pushsection .note.Xen, "a", @note; \
    .balign 4;                          \
    .long 4, 2f - 1f, id;               \
    .asciz "Xen";                       \
1:  kind value;                         \
2:  .balign 4;                          \
    .popsection

#ifdef __x86_64__
#define WORD .quad
#else
#define WORD .long
#endif

#ifdef WITNESS_LEGACY
    /* As kernels said it before there were notes; without [extended-cr3], the top table has to be below 4 GiB. */
    .pushsection __xen_guest, "", @progbits
    .asciz "GUEST_OS=witness,GUEST_VER=legacy,XEN_VER=xen-3.0,LOADER=generic,PAE=yes,VIRT_BASE=0xc0000000,ELF_PADDR_OFFSET=0"
    .popsection
#else
    NOTE(XEN_ELFNOTE_ENTRY, WORD, witness_entry)
    NOTE(XEN_ELFNOTE_VIRT_BASE, WORD, WITNESS_VIRT_BASE)
    NOTE(XEN_ELFNOTE_PADDR_OFFSET, WORD, 0)
    NOTE(XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0")
    NOTE(XEN_ELFNOTE_LOADER, .asciz, "generic")
    NOTE(XEN_ELFNOTE_GUEST_OS, .asciz, "witness")
    NOTE(XEN_ELFNOTE_GUEST_VERSION, .asciz, WITNESS_VARIANT)
#ifdef __i386__
    NOTE(XEN_ELFNOTE_PAE_MODE, .asciz, "yes")
#endif
#ifdef WITNESS_INIT_P2M
    NOTE(XEN_ELFNOTE_INIT_P2M, WORD, WITNESS_INIT_P2M)
#endif
#ifdef WITNESS_MOD_START_PFN
    NOTE(XEN_ELFNOTE_MOD_START_PFN, WORD, 1)
#endif
#ifdef WITNESS_HYPERCALL_PAGE
    NOTE(XEN_ELFNOTE_HYPERCALL_PAGE, WORD, hypercall_page)
#endif
#endif /* WITNESS_LEGACY */

    .section .text.entry, "ax", @progbits
    .globl witness_entry
witness_entry:
#ifdef __x86_64__
#define SAVE(n, reg) movq %reg, entry_regs + 8 * n(%rip)
    SAVE(0, rax)
    SAVE(1, rbx)
    SAVE(2, rcx)
    SAVE(3, rdx)
    SAVE(4, rsi)
    SAVE(5, rdi)
    SAVE(6, rbp)
    SAVE(7, rsp)
    SAVE(8, r8)
    SAVE(9, r9)
    SAVE(10, r10)
    SAVE(11, r11)
    SAVE(12, r12)
    SAVE(13, r13)
    SAVE(14, r14)
    SAVE(15, r15)
    leaq own_stack_end(%rip), %rsp
    pushfq
    popq entry_regs + 8 * 16(%rip)
#define SAVE_SELECTOR(n, reg) movl %reg, %eax; movq %rax, entry_regs + 8 * n(%rip)
    xorl %eax, %eax
    SAVE_SELECTOR(17, cs)
    SAVE_SELECTOR(18, ss)
    SAVE_SELECTOR(19, ds)
    SAVE_SELECTOR(20, es)
    SAVE_SELECTOR(21, fs)
    SAVE_SELECTOR(22, gs)
    cld
    xorl %ebp, %ebp
    movq %rsi, %rdi
    call witness
    hlt
#else
#define SAVE(n, reg) movl %reg, entry_regs + 4 * n
    SAVE(0, eax)
    SAVE(1, ebx)
    SAVE(2, ecx)
    SAVE(3, edx)
    SAVE(4, esi)
    SAVE(5, edi)
    SAVE(6, ebp)
    SAVE(7, esp)
    movl $own_stack_end, %esp
    pushfl
    popl entry_regs + 4 * 8
#define SAVE_SELECTOR(n, reg) movl %reg, %eax; movl %eax, entry_regs + 4 * n
    SAVE_SELECTOR(9, cs)
    SAVE_SELECTOR(10, ss)
    SAVE_SELECTOR(11, ds)
    SAVE_SELECTOR(12, es)
    SAVE_SELECTOR(13, fs)
    SAVE_SELECTOR(14, gs)
    cld
    xorl %ebp, %ebp
    subl $12, %esp
    pushl %esi
    call witness
    hlt
#endif

    .text
/* Exceptions. Xen pushes rcx and r11 below the usual frame in 64-bit mode; the vector goes below that. */
#ifdef __x86_64__
    .macro STUB vector
trap_\vector:
    pushq $\vector
    jmp trap_common
    .endm
trap_common:
    movq guard_sp(%rip), %rax
    testq %rax, %rax
    jnz 1f
    popq %rdi               /* vector */
    movq %rsp, %rsi         /* frame, rcx first */
    andq $-16, %rsp
    call trap
    hlt
1:  popq %rdi
    movq %rax, %rsp         /* back into guarded(), as if the probe had returned */
    leal 1(%rdi), %eax
    jmp guard_leave
    .globl guarded
guarded:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    movq %rsp, guard_sp(%rip)
    call *%rdi
    xorl %eax, %eax
guard_leave:
    movq $0, guard_sp(%rip)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
#else
    .macro STUB vector
trap_\vector:
    pushl $\vector
    jmp trap_common
    .endm
trap_common:
    movl guard_sp, %eax
    testl %eax, %eax
    jnz 1f
    popl %ecx
    movl %esp, %edx
    andl $-16, %esp
    subl $8, %esp
    pushl %edx
    pushl %ecx
    call trap
    hlt
1:  popl %ecx
    movl %eax, %esp
    leal 1(%ecx), %eax
    jmp guard_leave
    .globl guarded
guarded:
    movl 4(%esp), %eax
    pushl %ebx
    pushl %ebp
    pushl %esi
    pushl %edi
    subl $12, %esp
    movl %esp, guard_sp
    call *%eax
    xorl %eax, %eax
guard_leave:
    movl $0, guard_sp
    addl $12, %esp
    popl %edi
    popl %esi
    popl %ebp
    popl %ebx
    ret
#endif

    .altmacro
    .macro STUBS
    .set vector_number, 0
    .rept 20
    STUB %vector_number
    .set vector_number, vector_number + 1
    .endr
    .endm
    STUBS

    .section .rodata, "a", @progbits
    .balign 8
    .globl trap_stubs
trap_stubs:
    .macro POINTER vector
    WORD trap_\vector
    .endm
    .macro POINTERS
    .set vector_number, 0
    .rept 20
    POINTER %vector_number
    .set vector_number, vector_number + 1
    .endr
    .endm
    POINTERS

/* What entry itself writes; loaded from the file as a pattern, outside the part that is hashed, and never in .bss. */
    .section .scratch, "aw", @progbits
    .balign 16
    .globl entry_regs
entry_regs:
    .fill 23, 8, 0x5ead
guard_sp:
    WORD 0
    .balign 16
own_stack:
    .fill 4 * 4096, 1, 0xa5
own_stack_end:

/* A small load segment whose virtual address has nothing to do with its load address, beginning in the middle of a page
 * that another segment ends in: Linux's per-CPU segment and GRUB's second segment in one. The load address counts. */
    .section .odd, "aw", @progbits
    .set odd_byte, 0
    .rept 251
    .byte odd_byte & 0xff
    .set odd_byte, odd_byte + 7
    .endr

#ifdef WITNESS_HYPERCALL_PAGE
    .section .hypercall_page, "aw", @nobits
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096
#endif

    .section .note.GNU-stack, "", @progbits
