//! systemd as the maker of groups: a transient scope for each sandbox, asked for over D-Bus (org.freedesktop.systemd1(5)).
//!
//! A scope cannot be made before its first process is there. So the process is made first, outside; systemd moves it
//! into the scope, and only then it goes on. Its group is delegated: what is below it is ours.

mod bus;
mod error;
mod name;
mod properties;
mod wire;

use std::collections::HashMap;
use std::path::Path;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::CgroupError;
use bus::Bus;
use wire::{Reader, Value, Writer};

pub use error::SystemdError;
pub(super) use name::Named;

/// The transient scope that a group belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scope {
    /// Its name, `prefix-name.scope`.
    unit: String,
    slice: String,
    /// Whether it is the user's manager that keeps it.
    user: bool,
    /// Further properties, from annotations.
    #[serde(skip)]
    properties: Vec<wire::Property>,
}

impl Scope {
    /// Adds the properties that annotations ask for.
    pub(super) fn with_annotations(
        mut self,
        annotations: &HashMap<String, String>,
    ) -> Result<Self, SystemdError> {
        self.properties = properties::of_annotations(annotations)?;
        Ok(self)
    }

    /// Starts the scope around `pid`, as systemd's namespaces count it, with the limits that have properties.
    pub(super) fn start(
        &self,
        pid: u32,
        dir: &Path,
        resources: Option<&LinuxResources>,
    ) -> Result<(), CgroupError> {
        let yes = |name: &str| (name.to_owned(), Value::Bool(true));
        let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
        let mut list = vec![
            text("Description", &format!("gaufre container {}", self.unit.trim_end_matches(".scope"))),
            text("Slice", &self.slice),
            // A failed scope is forgotten as well: nobody would come to reset it.
            text("CollectMode", "inactive-or-failed"),
            ("PIDs".to_owned(), Value::U32s(vec![pid])),
            ("DefaultDependencies".to_owned(), Value::Bool(false)),
            yes("Delegate"),
            yes("MemoryAccounting"),
            yes("CPUAccounting"),
            yes("IOAccounting"),
            yes("TasksAccounting"),
        ];
        if let Some(resources) = resources {
            list.extend(properties::of_resources(resources)?);
        }
        list.retain(|(name, _)| !self.properties.iter().any(|(other, _)| other == name));
        list.extend(self.properties.iter().cloned());
        let mut bus = Bus::connect(self.user)?;
        let mut started = self.start_unit(&mut bus, &list);
        if started.as_ref().is_err_and(SystemdError::is_known_unit) {
            // The remains of one that failed, perhaps; one that runs is not touched by this.
            let _ = bus.call("ResetFailedUnit", "s", Writer::default().text(&self.unit).finish());
            started = self.start_unit(&mut bus, &list);
        }
        match started?.as_str() {
            "done" if dir.exists() => Ok(()),
            "done" => Err(SystemdError::Elsewhere { unit: self.unit.clone(), path: dir.to_owned() }.into()),
            result => Err(SystemdError::Job { unit: self.unit.clone(), result: result.to_owned() }.into()),
        }
    }

    fn start_unit(&self, bus: &mut Bus, properties: &[wire::Property]) -> Result<String, SystemdError> {
        let mut body = Writer::default();
        body.text(&self.unit).text("fail").properties(properties).array(8, |_| {});
        let reply = bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body.finish())?;
        let job = Reader::new(&reply).text().ok_or(SystemdError::Garbled)?.to_owned();
        bus.wait_for_job(&job)
    }

    /// Changes the limits that have properties.
    pub(super) fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let list = properties::of_resources(resources)?;
        if list.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        // `runtime`: not to be kept over a reboot.
        body.text(&self.unit).u32(1).properties(&list);
        Bus::connect(self.user)?.call("SetUnitProperties", "sba(sv)", body.finish())?;
        Ok(())
    }

    /// Stops the scope. One that is gone, as it is soon after its last process, is success.
    pub(super) fn stop(&self) -> Result<(), SystemdError> {
        let mut bus = Bus::connect(self.user)?;
        let body = Writer::default().text(&self.unit).text("replace").finish();
        let reply = match bus.call("StopUnit", "ss", body) {
            Err(error) if error.is_unknown_unit() => return Ok(()),
            reply => reply?,
        };
        let job = Reader::new(&reply).text().ok_or(SystemdError::Garbled)?.to_owned();
        bus.wait_for_job(&job)?;
        // Fails where nothing failed.
        let _ = bus.call("ResetFailedUnit", "s", Writer::default().text(&self.unit).finish());
        Ok(())
    }
}

/// The group of the user's manager, below which all of its units are.
fn user_manager_group() -> Result<String, SystemdError> {
    Bus::connect(true)?.manager_text("ControlGroup")
}
