//! The program: found along PATH inside the container, by executing.

use std::ffi::CString;

use rustix::io::Errno;

use crate::step::StepError;
use crate::sys::exec::{CStringArray, execve, exit_now};

/// Where a program without a slash is looked for when the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its arguments and environment, ready for execve(2).
pub(crate) struct Program {
    /// None: there is no program, and to execute it is to end.
    name: Option<String>,
    candidates: Vec<CString>,
    args: CStringArray,
    env: CStringArray,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Program {
    /// Prepares `process.args` and `process.env`.
    pub(crate) fn new(args: &[String], env: &[String]) -> Result<Self, StepError> {
        let name = args.first().ok_or_else(|| StepError::rule("process.args is empty"))?.clone();
        if let Some(bad) = env.iter().find(|variable| !variable.contains('=') || variable.starts_with('=')) {
            return Err(StepError::rule(format!("process.env: \"{bad}\" is not of the form NAME=value")));
        }
        let candidates = candidates(&name, env).into_iter().map(|path| c_string(path, "process.args"));
        Ok(Self {
            candidates: candidates.collect::<Result<_, _>>()?,
            args: CStringArray::new(c_strings(args, "process.args")?),
            env: CStringArray::new(c_strings(env, "process.env")?),
            name: Some(name),
        })
    }

    /// No program.
    pub(crate) fn nothing() -> Self {
        let none = || CStringArray::new(Vec::new());
        Self { name: None, candidates: Vec::new(), args: none(), env: none() }
    }

    /// Executes the program. Returns only when that failed: as execvp(3), a candidate that exists and may not be
    /// executed is reported rather than that others do not exist.
    pub(crate) fn execute(&self) -> StepError {
        if self.name.is_none() {
            exit_now(0);
        }
        let mut reason = Errno::NOENT;
        for path in &self.candidates {
            match execve(path, &self.args, &self.env) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => reason = Errno::ACCESS,
                other => return self.failure(other),
            }
        }
        self.failure(reason)
    }

    /// Looks whether there is something to execute, for whoever has to know before the start: create reports it then,
    /// as runc and crun do, and podman and Docker take their exit codes from that. To be called as the workload's user.
    pub(crate) fn look_up(&self) -> Result<(), StepError> {
        use rustix::fs::{Access, FileType, access, stat};
        if self.name.is_none() {
            return Ok(());
        }
        let mut reason = Errno::NOENT;
        for path in &self.candidates {
            let found = stat(path).and_then(|stat| {
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                if is_file { access(path, Access::EXEC_OK) } else { Err(Errno::ACCESS) }
            });
            match found {
                Ok(()) => return Ok(()),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => reason = error,
            }
        }
        Err(self.failure(reason))
    }

    fn failure(&self, reason: Errno) -> StepError {
        let name = self.name.as_deref().unwrap_or_default();
        StepError::new(format!("could not execute \"{name}\" in the container"), reason)
    }
}

fn candidates(name: &str, env: &[String]) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':')
        .map(|dir| if dir.is_empty() { format!("./{name}") } else { format!("{dir}/{name}") })
        .collect()
}

fn c_strings(strings: &[String], field: &str) -> Result<Vec<CString>, StepError> {
    strings.iter().map(|string| c_string(string.clone(), field)).collect()
}

fn c_string(string: String, field: &str) -> Result<CString, StepError> {
    CString::new(string).map_err(|_| StepError::rule(format!("{field} contains a null byte")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_container_decides_where_a_program_is_looked_for() {
        let env = ["PATH=/a::/b".to_owned()];
        assert_eq!(candidates("sh", &env), ["/a/sh", "./sh", "/b/sh"]);
        assert_eq!(candidates("./sh", &env), ["./sh"]);
        assert_eq!(candidates("", &env), Vec::<String>::new());
    }
}
