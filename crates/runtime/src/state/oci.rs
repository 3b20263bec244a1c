//! The state in the form of the runtime specification (runtime.md, "State"), with what runc adds to it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{State, Status};

/// What `state` prints, `list` has a list of, and a hook reads.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState<'a> {
    /// The version of the specification that this state follows.
    pub oci_version: &'static str,
    /// The sandbox's name.
    pub id: &'a str,
    /// Its first process as the runtime sees it, 0 where there is none.
    pub pid: i32,
    /// Where it is in its life.
    pub status: Status,
    /// Its bundle's directory.
    pub bundle: &'a Path,
    /// Its root file system; a hook does not get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<&'a Path>,
    /// When its making began; a hook does not get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<&'a str>,
    /// The configuration's annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// The user that made it; a hook does not get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl<'a> OciState<'a> {
    /// The specification's own fields: of the sandbox `id` with the first process `pid`, as the runtime sees it.
    pub fn new(
        id: &'a str,
        pid: i32,
        status: Status,
        bundle: &'a Path,
        annotations: &'a BTreeMap<String, String>,
    ) -> Self {
        let oci_version = crate::spec::OCI_VERSION;
        Self { oci_version, id, pid, status, bundle, rootfs: None, created: None, annotations, owner: None }
    }
}

impl State {
    /// The state as runc prints it.
    pub fn to_oci(&self, status: Status, owner: String) -> OciState<'_> {
        OciState {
            rootfs: Some(&self.rootfs),
            created: Some(&self.created),
            owner: Some(owner),
            ..self.for_hook(status)
        }
    }

    /// The state as a hook reads it on its standard input: the specification's fields.
    pub fn for_hook(&self, status: Status) -> OciState<'_> {
        // runc and crun say 0 of one that has ended, lest the id be another's by now.
        let process = self.process.filter(|process| status != Status::Stopped || process.holds_id());
        let pid = process.map_or(0, |process| process.pid);
        OciState::new(&self.id, pid, status, &self.bundle, &self.annotations)
    }
}
