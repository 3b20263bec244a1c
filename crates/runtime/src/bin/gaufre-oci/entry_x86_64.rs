//! Where the program begins, before the C library does: on the way to a sealed view of itself, if it needs one.
//!
//! `gaufre_runtime::run_sealed` executes the program again from a read-only view of its file. All that the first of the
//! two does before is lost, and the C library's start (relocations, the processor's features, the heap) is most of it.
//! So it is done here for the verbs that need it, by system calls alone: no memory is relocated yet. Any failure is left to
//! `run_sealed`, which finds the view in place or says what is wrong. A container called `run` is sealed without need.
//!
//! System V ABI, x86-64, "Process Initialization": the stack holds the number of arguments, the arguments, a null, the
//! environment, a null; rdx is for `_start`. Linux keeps all but rax, rcx and r11 over a system call.

std::arch::global_asm!(
    r#"
    .pushsection .rodata.gaufre_oci_entry, "a", @progbits
    .balign 8
    // struct mount_attr: attr_set MOUNT_ATTR_RDONLY, attr_clr, propagation MS_PRIVATE, userns_fd.
5:  .quad 1, 0, 0x40000, 0
6:  .asciz "/proc/self/exe"
7:  .asciz ""
    .popsection

    .pushsection .text.gaufre_oci_entry, "ax", @progbits
    .globl gaufre_oci_entry
    .hidden gaufre_oci_entry
    .type gaufre_oci_entry, @function
gaufre_oci_entry:
    mov r12, rsp
    mov r13, rdx
    // Is any of the words after the first "run", "exec" or "create"?
    lea r14, [r12 + 16]
2:  mov rax, [r14]
    test rax, rax
    jz 9f
    add r14, 8
    mov ecx, [rax]
    cmp ecx, 0x006e7572
    je 3f
    cmp ecx, 0x63657865
    jne 4f
    cmp byte ptr [rax + 4], 0
    je 3f
    jmp 2b
4:  cmp ecx, 0x61657263
    jne 2b
    cmp word ptr [rax + 4], 0x6574
    jne 2b
    cmp byte ptr [rax + 6], 0
    jne 2b

    // statfs(2): f_flags has ST_RDONLY where the program runs from such a view already.
3:  sub rsp, 128
    mov eax, 137
    lea rdi, [rip + 6b]
    mov rsi, rsp
    syscall
    test eax, eax
    jnz 9f
    test byte ptr [rsp + 80], 1
    jnz 9f

    // open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
    mov eax, 428
    mov edi, -100
    lea rsi, [rip + 6b]
    mov edx, 0x80001
    syscall
    test eax, eax
    js 9f
    mov ebx, eax

    // mount_setattr(view, "", AT_EMPTY_PATH, &attr, sizeof attr)
    mov eax, 442
    mov edi, ebx
    lea rsi, [rip + 7b]
    mov edx, 0x1000
    lea r10, [rip + 5b]
    mov r8d, 32
    syscall
    test eax, eax
    jnz 8f

    // execveat(view, "", argv, envp, AT_EMPTY_PATH)
    mov eax, 322
    mov edi, ebx
    lea rsi, [rip + 7b]
    lea rdx, [r12 + 8]
    mov r10, [r12]
    lea r10, [r12 + r10 * 8 + 16]
    mov r8d, 0x1000
    syscall

    // close(view)
8:  mov eax, 3
    mov edi, ebx
    syscall

9:  mov rsp, r12
    mov rdx, r13
    jmp _start
    .size gaufre_oci_entry, . - gaufre_oci_entry
    .popsection
"#
);
