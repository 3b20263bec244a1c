//! Extended attributes of all files, each kept once.

use std::collections::HashMap;
use std::rc::Rc;

use crate::erofs::xattr;
use crate::layer::Xattr;

/// What an attribute costs beside its name and value.
const ENTRY_BYTES: u64 = 96;

/// Name and value as the format has them, by number.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Rc<[u8]>>,
    numbers: HashMap<Rc<[u8]>, u32>,
    held_bytes: u64,
}

impl Table {
    /// The number of an attribute. `None` if the format cannot hold it.
    pub(super) fn number(&mut self, (name, value): &Xattr) -> Option<u32> {
        let entry: Rc<[u8]> = xattr::entry(name, value)?.into();
        if let Some(&number) = self.numbers.get(&entry) {
            return Some(number);
        }
        let number = u32::try_from(self.entries.len()).ok()?;
        self.held_bytes += ENTRY_BYTES + entry.len() as u64;
        self.entries.push(entry.clone());
        self.numbers.insert(entry, number);
        Some(number)
    }

    /// What all of it is taken to cost in memory.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, number: u32) -> &[u8] {
        &self.entries[number as usize]
    }
}
