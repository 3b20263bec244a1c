//! Attacks by one who changes files while the runtime works on them. How often each is tried is in `$GAUFRE_RACES` (200).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use serde_json::{Value, json};

use crate::bundle::{Bundle, Outcome};

/// How often a race is run.
pub(crate) fn rounds() -> usize {
    std::env::var("GAUFRE_RACES").map_or(200, |text| text.parse().unwrap())
}

/// Runs `act` again and again while `disturb` is done again and again.
pub(crate) fn raced(disturb: impl FnMut() + Send, mut act: impl FnMut()) {
    /// Also when an assertion fails.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (stop, mut disturb) = (AtomicBool::new(false), disturb);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                disturb();
            }
        });
        (0..rounds()).for_each(|_| act());
    });
}

fn swap(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// May fail where it met the wrong file; else it must have gone as if nobody had touched anything.
#[derive(Default)]
pub(crate) struct Verdicts {
    good: usize,
    refused: usize,
}

impl Verdicts {
    pub(crate) fn count(&mut self, outcome: &Outcome, expected: &str) {
        match (outcome.code, outcome.stdout.replace('\r', "").as_str()) {
            (0, said) => {
                assert_eq!(said, expected, "{outcome:?}");
                self.good += 1;
            }
            (_, "") => self.refused += 1,
            _ => panic!("it failed after it had begun: {outcome:?}"),
        }
    }

    pub(crate) fn judge(&self) {
        println!("{} went well, {} were refused", self.good, self.refused);
        assert!(self.good > 0, "the race never let a container be made");
    }
}

/// CVE-2021-30465, and CVE-2019-19921 raced: another process swaps a directory and a link while the runtime mounts.
#[test]
fn raced_links_never_lead_a_mount_outside() {
    for name in ["swap", "dev", "proc"] {
        let bundle = Bundle::sh("").with("/process/args", json!(["true"]));
        let victim = bundle.dir.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(bundle.dir.path().join("f"), "content\n").unwrap();
        let (dir, link) = (bundle.rootfs().join(name), bundle.rootfs().join("link"));
        fs::create_dir_all(&dir).unwrap();
        symlink(&victim, &link).unwrap();
        let bundle = bundle
            .mount(json!({"destination": "/swap/made/here", "type": "tmpfs", "source": "tmpfs"}))
            .mount(json!({"destination": "/swap/file", "type": "bind", "source": "f", "options": ["bind"]}));
        raced(
            || swap(&dir, &link),
            || {
                // May fail when the link is met at the wrong moment; must never escape.
                let outcome = bundle.run();
                assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "/{name} escaped: {outcome:?}");
            },
        );
    }
}

/// The bundle with a directory of the host as its /dev, in which others have their hands; of the mounts below it only
/// those that `kept` names.
fn with_dev(mut bundle: Bundle, kept: &[&str]) -> Bundle {
    let dev = bundle.dir.path().join("dev");
    fs::create_dir(&dev).unwrap();
    fs::create_dir(dev.join("pts")).unwrap();
    let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
    let below = |mount: &Value| mount["destination"].as_str().unwrap().starts_with("/dev");
    mounts.retain(|mount| !below(mount) || kept.iter().any(|path| mount["destination"] == *path));
    mounts.insert(1, json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]}));
    bundle
}

/// CVE-2025-31133: what covers a masked file, and what a standard stream from /dev/null is, is never what a link leads to.
#[test]
fn a_raced_dev_null_never_serves_as_a_mask() {
    let script =
        "for file in /masked /proc/$$/fd/0; do stat -L -c %t:%T $file; done; wc -c < /masked; cat /victim";
    let bundle = with_dev(Bundle::sh(script), &[]).with("/linux/maskedPaths", json!(["/masked"]));
    for name in ["masked", "victim"] {
        fs::write(bundle.rootfs().join(name), "secret\n").unwrap();
    }
    let dev = bundle.dir.path().join("dev");
    let (null, link) = (dev.join("null"), dev.join("link"));
    mknodat(CWD, &null, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3)).unwrap();
    symlink("/victim", &link).unwrap();
    let mut verdicts = Verdicts::default();
    raced(|| swap(&null, &link), || verdicts.count(&bundle.run(), "1:3\n1:3\n0\nsecret\n"));
    verdicts.judge();
}

/// CVE-2025-52565: the terminal is mounted over one of the two files in /dev, whatever its name is by then, and over nothing
/// that a link leads to.
#[test]
fn a_raced_console_is_mounted_nowhere_else() {
    let script =
        "cat /victim; cut -d ' ' -f 5 /proc/self/mountinfo | grep -c -e '^/dev/console' -e '^/dev/link'";
    let bundle = with_dev(Bundle::sh(script), &["/dev/pts"]).with("/process/terminal", json!(true));
    let dev = bundle.dir.path().join("dev");
    let (console, link) = (dev.join("console"), dev.join("link"));
    fs::write(bundle.rootfs().join("victim"), "untouched\n").unwrap();
    fs::write(&console, "").unwrap();
    symlink("/victim", &link).unwrap();
    let mut verdicts = Verdicts::default();
    raced(|| swap(&console, &link), || verdicts.count(&bundle.run(), "untouched\n1\n"));
    verdicts.judge();
}
