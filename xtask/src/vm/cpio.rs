//! Writes a cpio archive in the "newc" format, which the kernel unpacks as its first root file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// An archive in the making.
pub(super) struct Cpio<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Cpio<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// Adds a directory; its parents have to be there already.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Adds a file that may be executed.
    pub(super) fn program(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.entry(path, REGULAR | 0o755, content)
    }

    /// Adds a symlink.
    pub(super) fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.entry(path, SYMLINK | 0o777, target.as_bytes())
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::other("a file over 4 GiB in a cpio archive"))?;
        let name_size = path.len() + 1;
        // magic, inode, mode, uid, gid, links, mtime, size, device (2), rdev (2), name size, checksum
        write!(
            self.out,
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
            self.entries, 0, 0, 1, 0, 0, 0, 0, 0, 0
        )?;
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(110 + name_size)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Headers and contents begin at multiples of four bytes.
    fn pad(&mut self, len_bytes: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..len_bytes.next_multiple_of(4) - len_bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn gnu_cpio_reads_what_is_written() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.directory("bin").unwrap();
        cpio.program("bin/x", b"abcde").unwrap();
        cpio.symlink("bin/y", "x").unwrap();
        let archive = cpio.finish().unwrap();
        let mut list = Command::new("cpio")
            .arg("-t")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cpio is installed by `cargo xtask test`");
        list.stdin.take().unwrap().write_all(&archive).unwrap();
        let output = list.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "bin\nbin/x\nbin/y\n");
    }
}
