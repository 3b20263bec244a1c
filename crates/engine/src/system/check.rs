//! `system check`: whether everything is as it should be, and mending it.

use super::SystemError;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::sandbox::UnreadableError;
use gaufre_net::Net;
use serde::Serialize;
use std::time::Duration;

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// What is wrong, a sentence each; with repair, what was wrong and has been mended.
    pub problems: Vec<String>,
    /// What could not be mended, and what the user can do.
    pub unrepaired: Vec<String>,
    /// What is not gaufre's to mend and not wrong with its store, but keeps containers from working as asked.
    pub warnings: Vec<String>,
    /// What was looked at, in words for the user.
    pub checked: Vec<String>,
}

/// What is wrong with the network and stays so: a sandbox that ends while we look has lost its interface before its keeper
/// has said so.
fn lasting_faults(net: &Net) -> Result<Vec<String>, SystemError> {
    let check = || net.check().map_err(|error| SystemError::Check(error.into()));
    let mut faults = check()?;
    if !faults.is_empty() {
        std::thread::sleep(Duration::from_millis(300));
        let still = check()?;
        faults.retain(|fault| still.contains(fault));
    }
    Ok(faults)
}

impl Engine {
    /// Verifies blobs, layers, images, sandboxes and the network; with `repair` it mends what it can.
    ///
    /// # Errors
    /// See [`SystemError`]; what is wrong is no error but in the report.
    pub fn system_check(&self, repair: bool) -> Result<CheckReport, SystemError> {
        self.recover_all();
        let mut report = CheckReport::default();
        self.check_sandboxes(&mut report)?;
        self.check_network(repair, &mut report)?;
        let store = self.store()?.check(repair).map_err(|error| SystemError::Check(error.into()))?;
        report.problems.extend(store.findings.iter().map(ToString::to_string));
        report
            .checked
            .push(format!("{} images, {} layers, {} blobs", store.images, store.layers, store.blobs));
        Ok(report)
    }

    fn check_sandboxes(&self, report: &mut CheckReport) -> Result<(), SystemError> {
        let catalog = self.catalog();
        // What a killed process left half-done is no damage: every command takes it away.
        for path in catalog.leftovers(true)? {
            report
                .unrepaired
                .push(format!("{} was left by a killed process and cannot be removed", path.display()));
        }
        let (sandboxes, damaged) = catalog.survey()?;
        for error in damaged {
            report.unrepaired.push(said_of(&error));
        }
        for sandbox in &sandboxes {
            for layer in &sandbox.definition.image.layers {
                if !self.store()?.has_layer(layer).unwrap_or(false) {
                    let id = sandbox.id().short();
                    report.unrepaired.push(format!(
                        "container {id} needs layer {layer}, which is not in the store: remove it (gaufre rm {id}) or pull {}",
                        sandbox.definition.image.name
                    ));
                }
            }
        }
        report.checked.push(format!("{} containers", sandboxes.len()));
        Ok(())
    }

    fn check_network(&self, repair: bool, report: &mut CheckReport) -> Result<(), SystemError> {
        let net = Net::open(&self.dirs.run)?;
        let live: Vec<String> = self.users()?.running;
        for attachment in net.list()? {
            if !live.contains(&attachment.id) {
                report.problems.push(format!("address {} belongs to no container that runs", attachment.ip));
            }
        }
        report.problems.extend(lasting_faults(&net)?);
        if repair {
            net.gc(&live.iter().map(String::as_str).collect::<Vec<_>>())?;
            if let Err(error) = net.reconcile() {
                report.unrepaired.push(format!("the bridge cannot be rebuilt: {error}"));
            }
        }
        report.warnings.extend(self.firewall_warnings());
        report.checked.push("the network".to_owned());
        Ok(())
    }
}

/// An error, its causes and what to do about it in one sentence.
fn said_of(error: &UnreadableError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    error.hint().map_or_else(|| words.clone(), |hint| format!("{words}. {hint}"))
}
