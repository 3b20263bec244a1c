//! What is known of a sandbox that runs, and of its last run.

use gaufre_net::Attachment;
use gaufre_runtime::cgroup::Cgroup;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state file of a sandbox that has a keeper: `<run>/sandboxes/<id>/state.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunState {
    /// The boot in which this was written: a state of another boot speaks of processes that are gone.
    pub boot_id: String,
    /// The keeper that wrote it.
    pub keeper_pid: i32,
    /// How often the restart policy has started the workload again since a user did.
    #[serde(default)]
    pub restarts: u32,
    /// How far it has come.
    pub phase: Phase,
}

/// How far a run has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum Phase {
    /// The keeper is making namespaces, mounts and network; nothing of the workload has run.
    Starting,
    /// The workload runs.
    Running(Box<Running>),
    /// The workload has ended and its keeper waits before it starts it again.
    Restarting,
    /// The workload has ended so, and what it used is being taken down.
    Finishing {
        /// How, in case that the keeper dies before it is on record.
        exit: Exit,
        /// The holder, if it may still live.
        #[serde(default)]
        holder: Option<HolderRef>,
    },
}

/// What has to be known to take over a running sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The host's PID of the sandbox's first process.
    pub pid: i32,
    /// Its start time in clock ticks since boot (proc(5), field 22): tells a reused PID apart.
    pub start_ticks: u64,
    /// When it was started; also in the record of the run, which a list need not read then.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// Where its processes are accounted for.
    pub cgroup: Cgroup,
    /// Its network, when it has one of ours.
    pub attachment: Option<Attachment>,
    /// The process that keeps its descriptors open besides the keeper.
    pub holder: Option<HolderRef>,
    /// The one that did so for an earlier keeper, if it may still live.
    #[serde(default)]
    pub former_holder: Option<HolderRef>,
}

/// The process that holds a sandbox's descriptors, and which is which in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HolderRef {
    /// Its PID.
    pub pid: i32,
    /// Its start time in clock ticks since boot.
    pub start_ticks: u64,
    /// The number, in the holder, of the pidfd of the sandbox's first process.
    pub pidfd: i32,
    /// The number, in the holder, of the pseudo-terminal's master.
    pub terminal: Option<i32>,
    /// The number, in the holder, of the end by which the workload's standard input is written.
    #[serde(default)]
    pub stdin: Option<i32>,
    /// The numbers, in the holder, of the sockets that keep the published ports.
    #[serde(default)]
    pub ports: Vec<i32>,
}

/// One run of a sandbox: `<root>/sandboxes/<id>/run.json`, kept after the end and across reboots.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// When the workload was started.
    pub started_at: Timestamp,
    /// How often the restart policy has started it again.
    pub restarts: u32,
    /// How it ended; `None` while it runs, or when nobody was there to see it.
    pub exit: Option<Exit>,
}

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status, 128 + N after signal N; `None` when nobody was there to collect it.
    pub code: Option<i32>,
    /// When.
    pub finished_at: Timestamp,
    /// Whether the kernel killed something in it for want of memory.
    pub oom_killed: bool,
    /// Why it never ran, in words.
    pub error: Option<String>,
}
