//! What `gaufre completion` prints, in a shell.

use std::process::Command;

use crate::world::GAUFRE;

/// What bash offers for the last of `words`.
fn offered(words: &[&str]) -> Vec<String> {
    let script = r#"
        source <("$0" completion bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _gaufre gaufre "${@: -1}" "${@: -2:1}"
        ((${#COMPREPLY[@]})) && printf "%s\n" "${COMPREPLY[@]}" || true
    "#;
    let output = Command::new("bash").args(["-c", script, GAUFRE]).args(words).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_and_flags() {
    assert_eq!(offered(&["gaufre", "sys"]), ["system"]);
    assert_eq!(offered(&["gaufre", "system", "pr"]), ["prune"]);
    assert_eq!(offered(&["gaufre", "run", "--cpuset-c"]), ["--cpuset-cpus"]);
    assert!(offered(&["gaufre", "keep"]).is_empty(), "a hidden verb is offered");
}

#[test]
fn a_shell_that_is_not_known_is_refused_with_those_that_are() {
    let output = Command::new(GAUFRE).args(["completion", "tcsh"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(error.contains("tcsh") && error.contains("bash, zsh, fish"), "{error}");
}
