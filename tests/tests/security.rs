//! What a container may not do, seen from the command line; the runtime's own tests go deeper.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry};

    fn ready(image: &str) -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, image);
        (gaufre, image)
    }

    fn bash(gaufre: &Gaufre, image: &str, script: &str) -> String {
        gaufre.ok(&["run", "--rm", "--network=none", image, "bash", "-c", script])
    }

    #[test]
    fn our_own_program_cannot_be_written_from_inside() {
        // CVE-2019-5736: keep the program that enters open, and write to it once it no longer runs.
        let (gaufre, image) = ready("base");
        let binary = gaufre.binary();
        let before = std::fs::read(binary).unwrap();
        let script = "while :; do for p in /proc/[0-9]*/exe; do
                case $(readlink $p) in /usr/*|/bin/*|'') continue;; esac
                { exec 5<$p; } 2> /dev/null || continue
                sleep 0.2
                { true >> /proc/self/fd/5; } 2> /dev/null && echo WRITTEN || echo refused
            done; done";
        gaufre.ok(&["run", "-d", "--name", "thief", "--network=none", &image, "bash", "-c", script]);
        for _ in 0..40 {
            gaufre.say(&["exec", "thief", "/proc/self/exe", "--version"]);
        }
        assert!(!gaufre.ok(&["logs", "thief"]).contains("WRITTEN"));
        assert!(std::fs::read(binary).unwrap() == before, "{} has changed", binary.display());
    }

    #[test]
    fn our_own_program_as_first_process_cannot_be_written_from_inside() {
        // The other half of CVE-2019-5736. It waits for an archive on standard input, which never comes.
        let (gaufre, image) = ready("base");
        let before = std::fs::read(gaufre.binary()).unwrap();
        gaufre.ok(&[
            "run",
            "-d",
            "-i",
            "--name",
            "self",
            "--network=none",
            "--entrypoint=/proc/self/exe",
            &image,
            "load",
        ]);
        let said = gaufre.say(&["exec", "self", "bash", "-c", "true >> /proc/1/exe"]);
        assert_ne!(said.code, 0);
        let refused = ["Read-only file system", "Text file busy"].iter().any(|why| said.err.contains(why));
        assert!(refused, "{said:?}");
        assert!(std::fs::read(gaufre.binary()).unwrap() == before);
    }

    #[test]
    fn no_descriptor_of_ours_leaks_and_none_is_a_working_directory() {
        // CVE-2024-21626
        let (gaufre, image) = ready("base");
        let script = "for fd in $(seq 0 1024); do test -e /proc/$$/fd/$fd && echo $fd; done; true";
        assert_eq!(bash(&gaufre, &image, script), "0\n1\n2\n");
        for number in 3..12 {
            let cwd = format!("/proc/self/fd/{number}");
            let said = gaufre.say(&["run", "--rm", "--network=none", "-w", &cwd, &image, "pwd"]);
            assert_ne!(said.code, 0, "{cwd} became {}", said.out);
        }
    }

    #[test]
    fn the_kernels_secrets_are_masked() {
        let (gaufre, image) = ready("base");
        let script = "for f in /proc/kcore /proc/keys /proc/timer_list; do test -e $f && head -c 10 $f | wc -c; done | sort -u; \
                      ls /sys/firmware /proc/scsi 2> /dev/null | grep -v : | tr -d '\\n'; \
                      (echo 1 > /proc/sys/kernel/panic) 2> /dev/null || echo refused; \
                      (echo b > /proc/sysrq-trigger) 2> /dev/null || echo refused";
        assert_eq!(bash(&gaufre, &image, script), "0\nrefused\nrefused\n");
    }

    #[test]
    fn dangerous_calls_are_denied_by_default() {
        let (gaufre, image) = ready("python");
        let script = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, number, *arguments):
    ctypes.set_errno(0)
    done = libc.syscall(number, *arguments)
    print(name, 'done' if done >= 0 else os.strerror(ctypes.get_errno()))
call('mount', 165, b'none', b'/mnt', b'tmpfs', 0, 0)
call('unshare', 272, 0x10000000)
call('keyctl', 250, 0, -3, 0, 0, 0)
call('bpf', 321, 0, 0, 0)
call('kexec_load', 246, 0, 0, 0, 0)
call('init_module', 175, 0, 0, 0)
call('userfaultfd', 323, 0)
call('setns', 308, 0, 0)
call('reboot', 169, 0, 0, 0, 0)
";
        let said = gaufre.ok(&["run", "--rm", "--network=none", &image, "python3", "-c", script]);
        assert_eq!(said.lines().count(), 9, "{said}");
        for line in said.lines() {
            let denied =
                line.ends_with("Operation not permitted") || line.ends_with("Function not implemented");
            assert!(denied, "{said}");
        }
    }

    #[test]
    fn privileges_cannot_be_gained_nor_devices_made() {
        let (gaufre, image) = ready("base");
        let script = "grep NoNewPrivs /proc/self/status | cut -f 2; mknod /tmp/disk b 8 0 2> /dev/null && \
                      head -c 1 /tmp/disk 2> /dev/null | wc -c; true";
        let said = gaufre.ok(&[
            "run",
            "--rm",
            "--network=none",
            "--security-opt=no-new-privileges",
            &image,
            "bash",
            "-c",
            script,
        ]);
        assert!(said == "1\n" || said == "1\n0\n", "{said}");
    }
}
