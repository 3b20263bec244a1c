//! Directories of the layer: named, implied, opaque.

use std::collections::BTreeMap;

use super::Builder;
use super::attributes::Family;
use super::resolve::Links;
use super::tree::{Attributes, Content, Directory, InodeId, ROOT};
use crate::layer::{Entry, LayerError, Xattr, allowed};

/// The longest path that the kernel takes (`PATH_MAX`, without its NUL): a directory below it could not be opened.
const MAX_PATH_BYTES: usize = 4095;

impl Builder<'_> {
    /// The directory that an entry goes into, made with its own missing parents if need be.
    pub(super) fn parent(&mut self, path: &[u8]) -> Result<InodeId, LayerError> {
        if let Ok(directory) = self.tree.find(path, Links::Follow) {
            return Ok(directory);
        }
        let split = path.iter().rposition(|&byte| byte == b'/');
        let (above, name) = split.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let above = self.parent(above)?;
        let implied = Attributes { mode: 0o755, ..Attributes::default() };
        let directory = match self.tree.child(above, name) {
            None => self.make(above, name, implied, &[], false)?,
            Some(found) if self.is_whiteout(found) => {
                self.tree.remove(above, name);
                self.make(above, name, implied, &[], true)?
            }
            Some(found) => found,
        };
        match self.tree.directory(directory) {
            Some(found) if found.path_bytes <= MAX_PATH_BYTES => Ok(directory),
            Some(_) => Err(too_deep(path)),
            None => {
                Err(LayerError::entry(path, "a file or a broken link stands where its directory must be"))
            }
        }
    }

    /// An entry that is a directory.
    pub(super) fn directory(
        &mut self,
        parent: InodeId,
        name: &[u8],
        path: &[u8],
        mut entry: Entry,
    ) -> Result<(), LayerError> {
        entry.xattrs = allowed(entry.xattrs);
        let xattrs = entry.xattrs.clone();
        let (attributes, fault) = self.described(path, entry);
        let mut opaque = false;
        if let Some(found) = self.tree.child(parent, name) {
            if let Some(directory) = self.tree.directory(found) {
                let path_bytes = directory.path_bytes;
                self.budget.take(path_bytes, &xattrs)?;
                self.describe(found, attributes, fault);
                return Ok(());
            }
            opaque = self.is_whiteout(found);
            self.tree.remove(parent, name);
        }
        let made = self.make(parent, name, Attributes::default(), &xattrs, opaque)?;
        self.describe(made, attributes, fault);
        Ok(())
    }

    /// The archive's entry for the root itself.
    pub(super) fn root(&mut self, mut entry: Entry) -> Result<(), LayerError> {
        self.indexed.names_root = true;
        entry.xattrs = allowed(entry.xattrs);
        self.budget.take(0, &entry.xattrs)?;
        let (attributes, fault) = self.described(b".", entry);
        self.describe(ROOT, attributes, fault);
        Ok(())
    }

    fn described(&mut self, path: &[u8], entry: Entry) -> (Attributes, Option<Box<LayerError>>) {
        match self.attributes(path, Family::Directory, entry) {
            Ok(attributes) => (attributes, None),
            Err(fault) => (Attributes::default(), Some(Box::new(fault))),
        }
    }

    fn describe(&mut self, id: InodeId, attributes: Attributes, fault: Option<Box<LayerError>>) {
        self.tree.inode_mut(id).attributes = attributes;
        if let Some(directory) = self.tree.directory_mut(id) {
            directory.fault = fault;
        }
    }

    /// `.wh..wh..opq` in `directory`.
    pub(super) fn opaque(&mut self, directory: InodeId) {
        if let Some(found) = self.tree.directory_mut(directory) {
            found.opaque = true;
        }
        if directory == ROOT {
            self.indexed.opaque_root = true;
        }
    }

    fn make(
        &mut self,
        parent: InodeId,
        name: &[u8],
        attributes: Attributes,
        xattrs: &[Xattr],
        opaque: bool,
    ) -> Result<InodeId, LayerError> {
        self.count()?;
        let above = self.tree.directory(parent).map_or(0, |directory| directory.path_bytes);
        let path_bytes = if parent == ROOT { name.len() } else { above + 1 + name.len() };
        self.budget.take(path_bytes, xattrs)?;
        let directory = Directory {
            parent,
            children: BTreeMap::new(),
            opaque,
            fault: None,
            has_whiteouts: false,
            path_bytes,
        };
        let content = Content::Directory(Box::new(directory));
        self.tree.add(parent, name, attributes, content, size_of::<Directory>())
    }

    /// When all entries are read: every directory must be one that can be opened by its path and have the attributes that
    /// it was given, and those with whiteouts are noted.
    pub(super) fn finish_directories(&mut self) -> Result<(), LayerError> {
        let mut waiting = vec![ROOT];
        while let Some(id) = waiting.pop() {
            let Some(directory) = self.tree.directory(id) else { continue };
            let mut has_whiteouts = false;
            for (name, &child) in &directory.children {
                match &self.tree.inode(child).content {
                    Content::Directory(found) if found.path_bytes > MAX_PATH_BYTES => {
                        return Err(too_deep(name));
                    }
                    Content::Directory(_) => waiting.push(child),
                    Content::Whiteout => has_whiteouts = true,
                    _ => {}
                }
            }
            let Some(directory) = self.tree.directory_mut(id) else { continue };
            directory.has_whiteouts = has_whiteouts;
            if let Some(fault) = directory.fault.take() {
                return Err(*fault);
            }
        }
        Ok(())
    }
}

fn too_deep(path: &[u8]) -> LayerError {
    LayerError::entry(path, "the path of a directory is too long once links are followed")
}
