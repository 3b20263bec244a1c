//! Other limits for a sandbox that is there, noted down in the configuration that was kept of it.

use std::fs;
use std::io;

use oci_spec::runtime::{LinuxMemory, LinuxResources};
use serde_json::{Map, Value};

use super::{State, StateDir, StateError};
use crate::spec::read_bounded;

impl StateDir {
    /// Changes the limits that `asked` names, in the form of the configuration's `linux.resources`, and keeps them with the
    /// sandbox's configuration: a later change of memory or swap alone goes by them.
    ///
    /// # Errors
    /// `asked` is no `linux.resources`, a limit cannot be had, or the configuration cannot be read or written. Only in the
    /// last case the limits are other ones then.
    pub fn update(&self, state: &State, asked: &Value) -> Result<(), StateError> {
        let mut wish: LinuxResources =
            serde_json::from_value(asked.clone()).map_err(|source| StateError::Resources { source })?;
        if asked.pointer("/pids/limit").is_none() {
            wish.set_pids(None);
        }
        let path = self.path("config.json");
        let failed = |source: io::Error| StateError::File { path: path.clone(), source };
        let mut config: Value = read_bounded(&path)
            .and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from))
            .map_err(failed)?;
        let kept = config.pointer("/linux/resources/memory").cloned();
        let kept: LinuxMemory =
            kept.and_then(|memory| serde_json::from_value(memory).ok()).unwrap_or_default();
        if let Some(memory) = wish.memory_mut() {
            complete(memory, &kept);
        }
        state.cgroup.update(&wish)?;
        let mut changed = asked.clone();
        if let (Some(memory), Some(changed)) = (wish.memory(), changed.get_mut("memory")) {
            // What the other of the pair came to is kept too.
            *changed = serde_json::to_value(memory).map_err(|error| failed(error.into()))?;
        }
        if let Some(linux) = config.get_mut("linux").and_then(Value::as_object_mut) {
            merge(linux.entry("resources").or_insert_with(|| Value::Object(Map::new())), changed);
        }
        let text = serde_json::to_vec(&config).map_err(|error| failed(error.into()))?;
        let new = self.path("config.json.new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(failed)
    }
}

/// The limit of memory and that of memory and swap together are one pair: on v2 the file for swap has their difference.
/// The one that is not named stays what it was, but for a limit on memory that is lifted, with which that on both goes.
fn complete(memory: &mut LinuxMemory, kept: &LinuxMemory) {
    let set = |value: Option<i64>| value.filter(|value| *value != 0);
    let (limit, swap) = (set(memory.limit()), set(memory.swap()));
    match (limit, swap) {
        (Some(..0), None) => {
            memory.set_swap(Some(-1));
        }
        (Some(_), None) => {
            memory.set_swap(set(kept.swap()));
        }
        (None, Some(_)) => {
            memory.set_limit(set(kept.limit()));
        }
        _ => {}
    }
}

/// Lists and plain values take the place of what was there, objects are merged.
fn merge(kept: &mut Value, changed: Value) {
    match (kept, changed) {
        (Value::Object(kept), Value::Object(changed)) => {
            for (key, value) in changed {
                merge(kept.entry(key).or_insert(Value::Null), value);
            }
        }
        (kept, changed) => *kept = changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_of_memory_and_swap_stays() {
        let memory = |limit: i64, swap: i64| {
            let mut memory = LinuxMemory::default();
            memory.set_limit(Some(limit)).set_swap(Some(swap));
            memory
        };
        for (asked, kept, expected) in [
            (memory(150, 0), memory(100, 200), (Some(150), Some(200))),
            (memory(0, 300), memory(100, 200), (Some(100), Some(300))),
            (memory(150, 0), memory(100, 0), (Some(150), None)),
            (memory(-1, 0), memory(100, 200), (Some(-1), Some(-1))),
            (memory(0, 0), memory(100, 200), (Some(0), Some(0))),
            (memory(5, 6), memory(100, 200), (Some(5), Some(6))),
        ] {
            let mut found = asked;
            complete(&mut found, &kept);
            assert_eq!((found.limit(), found.swap()), expected);
        }
    }
}
