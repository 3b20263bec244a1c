//! The VM's two file systems: a small initrd that finds the disk, and the disk, which holds everything else.
//!
//! The first root file system of a kernel can neither be left by pivot_root(2) nor carry overlayfs, so tests run on ext4.

use super::cpio::Cpio;
use super::kernel::{DISK_MODULES, Kernel};
use crate::command;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's statically linked busybox.
const BUSYBOX: &str = "/bin/busybox";

/// A file to put into the VM.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    pub(crate) host: PathBuf,
    /// An absolute path inside the VM.
    pub(crate) guest: PathBuf,
}

/// Writes the initrd to `path`.
pub(super) fn initrd(path: &Path, kernel: &Kernel) -> Result<()> {
    let mut cpio = Cpio::new(BufWriter::new(File::create(path)?));
    for dir in ["bin", "dev", "proc", "root", "modules"] {
        cpio.directory(dir)?;
    }
    cpio.program("bin/busybox", &fs::read(BUSYBOX).with_context(|| format!("{BUSYBOX} could not be read"))?)?;
    cpio.symlink("bin/sh", "busybox")?;
    let mut load = String::new();
    for module in &kernel.modules {
        let name = name(module);
        cpio.program(&format!("modules/{name}"), &fs::read(module)?)?;
        load.push_str(&format!("insmod /modules/{name}\n"));
        if name == format!("{}.ko", DISK_MODULES[1]) {
            break;
        }
    }
    cpio.program("init", INIT.replace("LOAD_MODULES", &load).as_bytes())?;
    cpio.finish()?;
    Ok(())
}

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
LOAD_MODULES
for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 0.2; done
mount -t ext4 /dev/vda /root || { echo 'the disk could not be mounted'; echo b > /proc/sysrq-trigger; }
umount /proc /dev
exec switch_root /root /sbin/init
";

/// Makes the disk at `path` with `size` (as truncate(1) takes it) of sparse space, able to run `argv`.
pub(super) fn disk(
    path: &Path,
    size: &str,
    kernel: &Kernel,
    extras: &[Extra],
    argv: &[String],
) -> Result<()> {
    let tree = path.with_extension("tree");
    for dir in [
        "bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "modules",
        "var/lib",
    ] {
        fs::create_dir_all(tree.join(dir))?;
    }
    fs::set_permissions(tree.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    program(&tree, Path::new(BUSYBOX), Path::new("/bin/busybox"))?;
    for applet in
        command::stdout(Command::new(BUSYBOX).arg("--list"))?.lines().filter(|name| *name != "busybox")
    {
        symlink("/bin/busybox", tree.join("usr/bin").join(applet))?;
    }
    symlink("busybox", tree.join("bin/sh"))?;
    for module in &kernel.modules {
        fs::copy(module, tree.join("modules").join(name(module)))?;
    }
    let order: Vec<String> = kernel.modules.iter().map(|module| name(module)).collect();
    fs::write(tree.join("modules/order"), order.join("\n") + "\n")?;
    // busybox's ip lacks features that tests judge by, its tar does not see what is compressed, and it has no nft.
    // The runtime asks a real systemd for groups.
    let systemd = ["/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/dbus-daemon"];
    for tool in ["/bin/ip", "/bin/tar", "/usr/sbin/nft", "/sbin/tc"].into_iter().chain(systemd).map(Path::new)
    {
        if tool.exists() {
            with_libraries(&tree, tool)?;
        }
    }
    for extra in extras {
        program(&tree, &extra.host, &extra.guest)?;
    }
    fs::write(
        tree.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    fs::write(tree.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    fs::write(tree.join("etc/hosts"), "127.0.0.1 localhost vm\n")?;
    fs::write(tree.join("etc/resolv.conf"), "")?;
    fs::write(
        tree.join("command"),
        format!("exec {}\n", argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
    )?;
    let init = tree.join("sbin/init");
    fs::write(&init, SECOND_INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    command::quiet(Command::new("truncate").args(["-s", size]).arg(path))?;
    command::quiet(
        Command::new("/sbin/mkfs.ext4").args(["-q", "-F", "-E", "root_owner=0:0", "-d"]).arg(&tree).arg(path),
    )
}

/// Output leaves by the second serial line and the exit code by the third; the first is the kernel's own.
/// The command writes to a pipe, as it would anywhere else, not to a terminal.
const SECOND_INIT: &str = "#!/bin/busybox sh
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo +$controller > /sys/fs/cgroup/cgroup.subtree_control
done
while read module; do insmod /modules/$module 2> /dev/null || echo \"not loaded: $module\"; done < /modules/order
mkdir -p /dev/net
ip link set lo up
hostname vm
echo 1 > /proc/sys/vm/overcommit_memory
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
if [ -e /etc/selinux/policy ]; then
    mount -t selinuxfs selinuxfs /sys/fs/selinux
    dd if=/etc/selinux/policy of=/sys/fs/selinux/load bs=64M 2> /dev/null
    echo 1 > /sys/fs/selinux/enforce
fi
{ sh /command < /dev/null 2>&1; echo $? > /run/exit-code; } | cat > /dev/ttyS1
cat /run/exit-code > /dev/ttyS2
stty -F /dev/ttyS1 raw > /dev/null
sync
sleep 0.2
echo b > /proc/sysrq-trigger
sleep 60
";

fn program(tree: &Path, host: &Path, guest: &Path) -> Result<()> {
    let place = tree.join(guest.strip_prefix("/").unwrap_or(guest));
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let _ = fs::remove_file(&place);
    fs::copy(host, &place).with_context(|| format!("{} could not be put into the VM", host.display()))?;
    Ok(())
}

/// Copies a dynamic program with every library that ldd(1) names.
fn with_libraries(tree: &Path, tool: &Path) -> Result<()> {
    let name = Path::new("/usr/sbin").join(tool.file_name().context("a tool without a name")?);
    let _ = fs::remove_file(tree.join("usr/bin").join(tool.file_name().unwrap_or_default()));
    program(tree, &tool.canonicalize()?, &name)?;
    let listed = command::stdout(Command::new("ldd").arg(tool))?;
    for library in listed.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new) {
        program(tree, &library.canonicalize()?, library)?;
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A word as the shell reads it back unchanged.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
