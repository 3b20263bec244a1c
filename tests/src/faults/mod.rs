//! The fault loop: kills our own processes at random instants and sees that nothing is lost and nothing stays behind.

mod action;
mod chance;

use crate::tool::{PATIENCE, tool};
use crate::{Gaufre, Registry, Witness};
use action::Action;
pub use chance::Chance;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Kills `rounds` times, each time at a random instant of a random command; `seed` repeats a former run.
///
/// # Panics
///
/// As soon as the store is wrong, a command no longer works, or something is left over.
pub fn kill_at_random(rounds: usize, seed: u64) {
    let witness = Witness::now();
    let mut chance = Chance::new(seed);
    let registry = Registry::with_images();
    let gaufre = Gaufre::new();
    let image = gaufre.pull(&registry, "base");
    let mut usual = action::Usual::default();
    let started = Instant::now();
    let mut hits = 0;
    for round in 1..=rounds {
        let action = Action::ALL[chance.below(Action::ALL.len())];
        action.prepare(&gaufre, &image);
        let arguments = action.arguments(&image);
        let delay = chance.up_to(usual.of(action, &gaufre, &image));
        let keeper = chance.below(3) == 0;
        let whom = if keeper { "a keeper" } else { "the command" };
        let what = format!("round {round} of seed {seed}: {action:?}, {whom} killed after {delay:?}");
        // Shown when the test fails.
        println!("{what}");
        let hit = killed_after(&gaufre, &arguments, delay, keeper, &mut chance);
        hits += usize::from(hit);
        if round % 2 == 0 {
            // Before any verb that would tidy up first. The check itself takes away what the killed process left, as
            // every verb does, and must find nothing wrong.
            sound(&gaufre, &what);
            nobodys(&witness, &gaufre, &what);
        }
        action.must_still_work(&gaufre, &image, &what);
        sound(&gaufre, &what);
        if round % 10 == 0 || round == rounds {
            let said = gaufre.say(&["rm", "--all", "--force", "--time=0"]);
            assert_eq!(said.code, 0, "{what}; then rm --all: {}", said.err);
            left_over(&witness, &gaufre, &what);
            println!("{round} of {rounds} rounds, {hits} of them in time, {} s", started.elapsed().as_secs());
        }
    }
    drop(gaufre);
    witness.nothing_more();
    assert!(
        hits * 4 >= rounds,
        "only {hits} of {rounds} kills came before the end of what they were to kill"
    );
}

/// `system check` finds nothing wrong.
///
/// # Panics
///
/// If it does.
pub fn sound(gaufre: &Gaufre, what: &str) {
    let said = gaufre.say(&["system", "check"]);
    assert_eq!(said.code, 0, "{what}; then system check: {}{}", said.out, said.err);
}

/// All that is on the machine now belongs to a container that the store has: one that was to go on, or to be removed,
/// when the command was killed.
fn nobodys(witness: &Witness, gaufre: &Gaufre, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let containers = containers(gaufre);
        let more = witness.more();
        // A link or table does not say whose it is: one pair for each container, and one bridge and table for all.
        let links = more.iter().filter(|thing| thing.starts_with("link ")).count();
        let is_shared = |thing: &str| !thing.starts_with("cgroup ") && !thing.starts_with("mount ");
        let has_owner = |thing: &str| match is_shared(thing) {
            true => !containers.is_empty() && links <= containers.len() + 1,
            false => containers.iter().any(|id| thing.contains(id)),
        };
        let nobodys: Vec<&String> = more.iter().filter(|thing| !has_owner(thing)).collect();
        if nobodys.is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{what}; of nobody after system check: {nobodys:?}, {containers:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The IDs of the containers in the store, read from its folder: any verb that lists them would tidy up first.
fn containers(gaufre: &Gaufre) -> Vec<String> {
    let entries = fs::read_dir(gaufre.dir().join("root/sandboxes")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.chars().all(|c| c.is_ascii_hexdigit())).collect()
}

fn left_over(witness: &Witness, gaufre: &Gaufre, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut more = witness.more();
        more.extend(gaufre.processes().into_iter().map(|pid| format!("process {pid}")));
        if more.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{what}; left over:\n{}", more.join("\n"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Starts a command and kills it, or one of the store's other processes, after `delay`. A hit is only what the command
/// died of, or another process while the command ran.
fn killed_after(
    gaufre: &Gaufre,
    arguments: &[&str],
    delay: Duration,
    keeper: bool,
    chance: &mut Chance,
) -> bool {
    let mut command = gaufre.command();
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("gaufre starts");
    std::thread::sleep(delay);
    let victims: Vec<u32> = gaufre.processes().into_iter().filter(|pid| *pid != child.id()).collect();
    if keeper && !victims.is_empty() {
        let victim = victims[chance.below(victims.len())].to_string();
        let running = matches!(child.try_wait(), Ok(None));
        let killed =
            tool("kill").args(["-KILL", &victim]).output().is_ok_and(|output| output.status.success());
        let _ = child.wait();
        return running && killed;
    }
    let _ = child.kill();
    child.wait().is_ok_and(|status| status.signal() == Some(9))
}

/// `pulls` commands pull one image at the same time, into one store.
///
/// # Panics
///
/// If one of them fails, or the store is not sound afterwards.
pub fn parallel_pulls(pulls: usize) {
    let registry = Registry::with_images();
    let gaufre = Gaufre::new();
    let image = registry.image("python");
    all_succeed(&gaufre, pulls, |_| {
        vec!["pull".into(), "--quiet".into(), "--tls-verify=false".into(), image.clone()]
    });
    sound(&gaufre, "after the parallel pulls");
    let said = gaufre.ok(&["run", "--rm", "--network=none", &image, "python3", "-c", "print(6 * 7)"]);
    assert_eq!(said, "42\n");
}

/// `runs` containers with the bridge run and end at the same time.
///
/// # Panics
///
/// If one of them fails, or something is left behind.
pub fn parallel_runs(runs: usize) {
    let witness = Witness::now();
    let registry = Registry::with_images();
    let gaufre = Gaufre::new();
    let image = gaufre.pull(&registry, "base");
    all_succeed(&gaufre, runs, |number| {
        let script = format!("test -d /sys/class/net/eth0 && test {number} -ge 0");
        ["run", "--rm", &image, "bash", "-c", &script].map(str::to_owned).to_vec()
    });
    sound(&gaufre, "after the parallel runs");
    drop(gaufre);
    witness.nothing_more();
}

fn all_succeed(gaufre: &Gaufre, count: usize, arguments: impl Fn(usize) -> Vec<String>) {
    let running: Vec<_> = (0..count)
        .map(|number| {
            let mut command = gaufre.command();
            command.args(arguments(number)).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("gaufre starts")
        })
        .collect();
    for (number, child) in running.into_iter().enumerate() {
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "number {number} of {count} failed ({}): {said}", output.status);
    }
}
