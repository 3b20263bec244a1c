//! config.json, read within bounds: it is whatever the bundle's author wrote.
//!
//! What the specification does not know is ignored, as it demands (config.md, "Extensibility"); what it knows and this
//! runtime does not honour is refused by its name, and so is an invalid value (config.md, "Valid values").

use std::io::Read;
use std::path::Path;

use oci_spec::runtime::{Capability, Process, Spec};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::SpecError;

/// A configuration may be this long. The kernel takes less in arguments and environment alone.
pub const LONGEST_BYTES: u64 = 8 << 20;

/// Reads the configuration at `path`; gives its text as well.
///
/// # Errors
/// It cannot be read, is too long, or is no configuration.
pub fn read(path: &Path) -> Result<(Spec, Vec<u8>), SpecError> {
    let text = read_bounded(path).map_err(|source| SpecError::Read { path: path.to_owned(), source })?;
    Ok((parse(&text)?, text))
}

/// Reads a file of [`LONGEST_BYTES`] at most.
///
/// # Errors
/// It cannot be read, is no regular file, or is longer.
pub fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt;
    // Not to wait for somebody at the other end of a FIFO.
    let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    // One byte more than it says, so that one read finds the end.
    let len = usize::try_from(metadata.len().min(LONGEST_BYTES)).unwrap_or_default();
    let mut text = Vec::with_capacity(len + 1);
    file.take(LONGEST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {LONGEST_BYTES} bytes")));
    }
    Ok(text)
}

/// Properties of the specification that [`Spec`] does not have, or does not tell from their absence.
#[derive(Deserialize)]
struct NotModelled {
    freebsd: Option<IgnoredAny>,
    linux: Option<LinuxNotModelled>,
}

#[derive(Deserialize)]
struct LinuxNotModelled {
    resources: Option<ResourcesNotModelled>,
}

#[derive(Deserialize)]
struct ResourcesNotModelled {
    pids: Option<PidsNotModelled>,
}

#[derive(Deserialize)]
struct PidsNotModelled {
    limit: Option<IgnoredAny>,
}

impl NotModelled {
    /// `linux.resources.pids` without a limit, which is none, while the limit 0 is one.
    fn has_pids_without_limit(&self) -> bool {
        let resources = self.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        resources.and_then(|resources| resources.pids.as_ref()).is_some_and(|pids| pids.limit.is_none())
    }
}

/// Understands the text of a configuration.
///
/// # Errors
/// It is too long, no JSON, lacks what must be there, or has a value that the specification does not know.
pub fn parse(text: &[u8]) -> Result<Spec, SpecError> {
    if text.len() as u64 > LONGEST_BYTES {
        return Err(SpecError::TooLong);
    }
    let mut spec: Spec = understand(text, "/process").map_err(SpecError::Json)?;
    let rest: NotModelled = serde_json::from_slice(text).map_err(SpecError::Json)?;
    super::strict::refuse(rest.freebsd.is_some(), "freebsd")?;
    let resources = spec.linux_mut().as_mut().and_then(|linux| linux.resources_mut().as_mut());
    if let (true, Some(resources)) = (rest.has_pids_without_limit(), resources) {
        resources.set_pids(None);
    }
    if tracing::enabled!(tracing::Level::DEBUG) {
        for name in unknown(text, &spec) {
            tracing::debug!("{name} in the configuration is not known and ignored");
        }
    }
    Ok(spec)
}

/// Understands the text of one process: `process` of a configuration.
///
/// # Errors
/// It is no JSON, lacks what must be there, or has a value that the specification does not know.
pub fn parse_process(text: &[u8]) -> serde_json::Result<Process> {
    understand(text, "")
}

/// The text as a `T`, in which `process` is the way to the process.
fn understand<T: DeserializeOwned>(text: &[u8], process: &str) -> serde_json::Result<T> {
    serde_json::from_slice(text).or_else(|error| in_the_model_s_words(text, process).ok_or(error))
}

/// The same with the words that the model of a process does not know replaced. None: that was not it.
fn in_the_model_s_words<T: DeserializeOwned>(text: &[u8], process: &str) -> Option<T> {
    let mut json: Value = serde_json::from_slice(text).ok()?;
    let process = json.pointer_mut(process)?;
    if let Some(sets) = process.get_mut("capabilities") {
        leave_out_unknown_capabilities(sets);
    }
    for flag in process.pointer_mut("/scheduler/flags").and_then(Value::as_array_mut).into_iter().flatten() {
        match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => *flag = "SCHED_RESET_ON_FORK".into(),
            Some("SCHED_FLAG_DL_OVERRUN") => *flag = "SCHED_FLAG_D_L_OVERRUN".into(),
            _ => {}
        }
    }
    serde_json::from_value(json).ok()
}

/// A capability that no kernel has is a warning, not an error: config.md, "Linux Process".
fn leave_out_unknown_capabilities(sets: &mut Value) {
    let sets = sets.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
    for names in sets.filter_map(Value::as_array_mut) {
        names.retain(|name| {
            let known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            if let (false, Some(name)) = (known, name.as_str()) {
                tracing::warn!("process.capabilities: there is no capability {name}");
            }
            known || !name.is_string()
        });
    }
}

/// The properties of the text that the configuration, as it was understood, does not have.
fn unknown(text: &[u8], spec: &Spec) -> Vec<String> {
    let mut names = Vec::new();
    if let (Ok(given), Ok(understood)) = (serde_json::from_slice(text), serde_json::to_value(spec)) {
        compare(&given, &understood, "", &mut names);
    }
    names
}

fn compare(given: &Value, understood: &Value, path: &str, names: &mut Vec<String>) {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            for (key, value) in given {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match understood.get(key) {
                    Some(other) => compare(value, other, &path, names),
                    // An empty value may be left out when it is written again.
                    None if is_empty(value) => {}
                    None => names.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(understood)) => {
            for (at, (value, other)) in given.iter().zip(understood).enumerate() {
                compare(value, other, &format!("{path}[{at}]"), names);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::default_spec;
    use serde_json::json;

    fn with(pointer: &str, key: &str, value: Value) -> Vec<u8> {
        let mut json = serde_json::to_value(default_spec()).unwrap();
        json.pointer_mut(pointer).unwrap()[key] = value;
        json.to_string().into_bytes()
    }

    #[test]
    fn what_the_specification_does_not_know_is_ignored_and_named_in_the_log() {
        let text = with("/linux/resources", "turbo", json!({"limit": 1}));
        let spec = parse(&text).unwrap();
        assert_eq!(spec, parse(&serde_json::to_vec(&default_spec()).unwrap()).unwrap());
        assert_eq!(unknown(&text, &spec), ["linux.resources.turbo"]);
        assert!(unknown(&with("", "hooks", json!({})), &spec).is_empty());
    }

    #[test]
    fn what_the_specification_has_for_other_systems_is_refused_also_where_the_model_lacks_it() {
        assert!(parse(&with("", "freebsd", json!({}))).unwrap_err().to_string().contains("freebsd"));
    }

    #[test]
    fn an_unknown_capability_is_left_out_and_any_other_unknown_word_is_an_error() {
        let sets = json!({"bounding": ["CAP_KILL", "CAP_COFFEE"], "effective": ["CAP_TEA"]});
        let spec = parse(&with("/process", "capabilities", sets)).unwrap();
        let sets = spec.process().as_ref().unwrap().capabilities().as_ref().unwrap();
        assert_eq!(sets.bounding().as_ref().unwrap().len(), 1);
        assert!(sets.effective().as_ref().unwrap().is_empty());
        for (pointer, key, value) in [
            ("/linux/seccomp", "defaultAction", json!("SCMP_ACT_COFFEE")),
            ("/linux/namespaces/0", "type", json!("coffee")),
            ("/process/user", "uid", json!(-1)),
            ("/process", "capabilities", json!({"bounding": [1]})),
            ("/process", "args", json!("sh")),
        ] {
            let error = parse(&with(pointer, key, value)).unwrap_err();
            assert!(matches!(error, SpecError::Json(_)), "{key}: {error}");
        }
    }

    #[test]
    fn flags_of_the_scheduler_have_the_specification_s_names() {
        for flag in [
            "SCHED_FLAG_RESET_ON_FORK",
            "SCHED_FLAG_RECLAIM",
            "SCHED_FLAG_DL_OVERRUN",
            "SCHED_FLAG_KEEP_PARAMS",
        ] {
            let scheduler = json!({"policy": "SCHED_OTHER", "flags": [flag]});
            let spec = parse(&with("/process", "scheduler", scheduler.clone())).unwrap();
            assert!(spec.process().as_ref().unwrap().scheduler().is_some());
            let process = json!({"cwd": "/", "user": {"uid": 0, "gid": 0}, "scheduler": scheduler, "capabilities": {"bounding": ["CAP_TEA"]}});
            assert_eq!(
                parse_process(process.to_string().as_bytes()).unwrap().scheduler(),
                spec.process().as_ref().unwrap().scheduler()
            );
        }
        let scheduler = json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_TEA"]});
        assert!(parse(&with("/process", "scheduler", scheduler)).is_err());
    }

    #[test]
    fn no_limit_of_processes_is_not_the_limit_zero() {
        let limit = |pids: Value| {
            let spec = parse(&with("/linux/resources", "pids", pids)).unwrap();
            spec.linux().as_ref().unwrap().resources().as_ref().unwrap().pids().map(|pids| pids.limit())
        };
        assert_eq!((limit(json!({})), limit(Value::Null), limit(json!({"limit": 0}))), (None, None, Some(0)));
    }

    #[test]
    fn a_configuration_without_end_is_refused_unread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read(&path), Err(SpecError::Read { .. })));
        assert!(matches!(read(Path::new("/dev/zero")), Err(SpecError::Read { .. })));
        assert!(matches!(read(dir.path()), Err(SpecError::Read { .. })));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(read(&dir.path().join("fifo")), Err(SpecError::Read { .. })));
        assert!(matches!(parse(&vec![b' '; 9 << 20]), Err(SpecError::TooLong)));
        assert!(matches!(parse("[".repeat(1 << 20).as_bytes()), Err(SpecError::Json(_))));
    }
}
