//! Kernel modules: finds them by name, uncompresses them and orders them by what each says it depends on.

use crate::command;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Copies the wanted modules and all they depend on into `dir`, uncompressed, and returns their names in loading order.
/// A module that the kernel has built in, or does not have, is left out.
pub(super) fn collect<'a>(
    files: &[PathBuf],
    wanted: impl Iterator<Item = &'a &'a str>,
    dir: &Path,
) -> Result<Vec<String>> {
    let known: BTreeMap<String, &PathBuf> =
        files.iter().filter_map(|file| Some((name_of(file)?, file))).collect();
    let mut order = Vec::new();
    for name in wanted {
        add(&normal(name), &known, dir, &mut order)?;
    }
    Ok(order)
}

fn add(name: &str, known: &BTreeMap<String, &PathBuf>, dir: &Path, order: &mut Vec<String>) -> Result<()> {
    let file_name = format!("{name}.ko");
    let Some(file) = known.get(name) else { return Ok(()) };
    if order.contains(&file_name) {
        return Ok(());
    }
    let place = dir.join(&file_name);
    let bytes =
        uncompressed(file).with_context(|| format!("the module {} could not be read", file.display()))?;
    for dependency in dependencies(&bytes) {
        add(&dependency, known, dir, order)?;
    }
    fs::write(place, bytes)?;
    order.push(file_name);
    Ok(())
}

/// `kvm-amd.ko.xz` is the module `kvm_amd`.
fn name_of(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let stem = name
        .strip_suffix(".ko")
        .or_else(|| name.strip_suffix(".ko.xz"))
        .or_else(|| name.strip_suffix(".ko.zst"))?;
    Some(normal(stem))
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn uncompressed(file: &Path) -> Result<Vec<u8>> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return Ok(fs::read(file)?),
    };
    let output = Command::new(program)
        .arg("-dc")
        .arg(file)
        .output()
        .with_context(|| format!("{program} did not start"))?;
    anyhow::ensure!(output.status.success(), "{} failed", command::name_of(Command::new(program).arg(file)));
    Ok(output.stdout)
}

/// The module's own list, `depends=a,b` among the NUL-terminated strings of its `.modinfo` section.
fn dependencies(module: &[u8]) -> Vec<String> {
    const MARK: &[u8] = b"\0depends=";
    let Some(at) = module.windows(MARK.len()).position(|window| window == MARK) else { return Vec::new() };
    let list = &module[at + MARK.len()..];
    let end = list.iter().position(|byte| *byte == 0).unwrap_or(0);
    let list = String::from_utf8_lossy(&list[..end]).into_owned();
    list.split(',').filter(|name| !name.is_empty()).map(normal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_loaded_after_what_it_depends_on() {
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str, info: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, info).unwrap();
            path
        };
        let files = [
            made("kvm-amd.ko", b"x\0depends=kvm\0"),
            made("kvm.ko", b"x\0depends=irqbypass\0"),
            made("irqbypass.ko", b"x\0depends=\0"),
        ];
        let out = tempfile::tempdir().unwrap();
        let order = collect(&files, ["kvm-amd", "built_in"].iter(), out.path()).unwrap();
        assert_eq!(order, ["irqbypass.ko", "kvm.ko", "kvm_amd.ko"]);
    }
}
