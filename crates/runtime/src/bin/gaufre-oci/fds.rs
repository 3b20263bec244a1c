//! The descriptors that the workload gets from our caller beside the standard streams.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use gaufre_runtime::inherited_fd;
use oci_spec::runtime::Process;

use crate::args::{Args, Known, value};
use crate::command::Failure;

/// More than anybody passes, and few enough to have.
const MOST: u16 = 1024;

pub(crate) const PRESERVE_FDS: Known =
    value("preserve-fds", "", "N", "pass N more descriptors, from 3 on and after those of LISTEN_FDS");

/// The descriptors from 3 on: those of socket activation (`LISTEN_FDS`, sd_listen_fds(3)), then N more.
#[derive(Debug)]
pub(crate) struct Preserved {
    listening: u16,
    fds: Vec<OwnedFd>,
}

impl Preserved {
    /// Takes them over, before this process opens anything under their numbers.
    pub(crate) fn take(args: &Args) -> Result<Self, Failure> {
        let more: u16 = args.parsed("preserve-fds")?.unwrap_or(0);
        let listening =
            std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<u16>().ok()).unwrap_or(0);
        let count = more.saturating_add(listening);
        if count > MOST {
            return Err(format!("{count} descriptors to preserve are more than {MOST}").into());
        }
        let fds = (3..3 + i32::from(count)).map(|number| {
            inherited_fd(number)
                .map_err(|error| format!("descriptor {number}, which is to be preserved: {error}"))
        });
        Ok(Self { listening, fds: fds.collect::<Result<_, _>>()? })
    }

    pub(crate) fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.iter().map(AsFd::as_fd).collect()
    }

    /// Tells the workload of its sockets, as runc: its process id is 1 where it is the first of its PID namespace.
    pub(crate) fn announce(&self, process: &mut Process) {
        if self.listening == 0 {
            return;
        }
        let mut env = process.env().clone().unwrap_or_default();
        env.push(format!("LISTEN_FDS={}", self.listening));
        env.push("LISTEN_PID=1".to_owned());
        process.set_env(Some(env));
    }
}
