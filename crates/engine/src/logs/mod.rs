//! The log of a sandbox: written by its keeper, read by `logs`.
//!
//! The format is that of the Kubernetes CRI, which podman calls `k8s-file`: a line per record,
//! `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <bytes>`, where `P` says that the workload's line goes on in
//! the next record of the same stream.

mod reader;
mod record;
mod tail;
mod writer;

pub use reader::{LogIter, LogsError, LogsOptions};
pub use record::{LogRecord, Stream};
pub(crate) use writer::LogWriter;
