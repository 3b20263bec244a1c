//! Commands that are killed, and commands that find a killed keeper.

use crate::fixture::{Gate, WAIT, detached, gapless, keeper, keepers, kill9, ready};
use gaufre_tests::faults::Chance;
use gaufre_tests::{Registry, Witness, tool, until};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_killed_client_leaves_the_sandbox_running() {
    let (gaufre, image) = ready();
    for options in [&[][..], &["-i"], &["-t"], &["-i", "-t"]] {
        let mut run = gaufre.command();
        run.args(["run", "--network=none", "--name=left"]).args(options);
        run.args([&image, "bash", "-c", "while :; do echo tick; sleep 0.05; done"]);
        let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        until("its output", || gaufre.say(&["logs", "left"]).out.contains("tick").then_some(()));
        run.kill().unwrap();
        run.wait().unwrap();
        drop(run);
        let lines = gaufre.ok(&["logs", "left"]).lines().count();
        until("more output", || (gaufre.ok(&["logs", "left"]).lines().count() > lines + 3).then_some(()));
        gaufre.ok(&["rm", "-f", "--time=0", "left"]);
    }
}

#[test]
fn a_keeper_killed_while_it_starts_leaves_nothing() {
    let _alone = Witness::alone();
    let (gaufre, image) = ready();
    gaufre.ok(&["run", "--rm", &image, "true"]);
    until("the last keeper's end", || gaufre.processes().is_empty().then_some(()));
    let witness = Witness::now();
    let mut chance = Chance::new(Chance::seed());
    let usual = {
        let start = Instant::now();
        gaufre.ok(&["run", "-d", "--name=usual", &image, "sleep", "1000"]);
        gaufre.ok(&["rm", "-f", "--time=0", "usual"]);
        start.elapsed()
    };
    for round in 0..40 {
        let mut run = gaufre.command();
        run.args(["run", "-d", "--init", "--name=victim", &image, "sleep", "1000"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let instant = Instant::now() + chance.up_to(usual);
        // The keeper is the process of this store that is called so.
        let found = loop {
            let found = keepers(&gaufre);
            if !found.is_empty() || run.try_wait().unwrap().is_some() {
                break found;
            }
        };
        std::thread::sleep(instant.saturating_duration_since(Instant::now()));
        for pid in found {
            let _ = tool("kill").args(["-KILL", &pid.to_string()]).output();
        }
        let started = run.wait().unwrap().success();
        if started {
            let said = gaufre.say(&["exec", "victim", "echo", "inside"]);
            assert_eq!(said.out, "inside\n", "round {round}: {}", said.err);
        }
        let said = gaufre.say(&["rm", "-f", "--time=0", "victim"]);
        assert_eq!(said.code, 0, "round {round}: {}", said.err);
        let said = gaufre.say(&["system", "check"]);
        assert_eq!(said.code, 0, "round {round}: {}{}", said.out, said.err);
    }
    until("the last keeper's end", || gaufre.processes().is_empty().then_some(()));
    witness.nothing_more();
}

#[test]
fn a_keeper_killed_before_it_is_told_its_container_is_replaced() {
    let (gaufre, image) = ready();
    // Whoever removes images has this lock, and `run`, whose keeper is started first of all, waits for it.
    let lock = std::fs::File::create(gaufre.dir().join("root/images.lock")).unwrap();
    for options in [&["-d"][..], &[]] {
        lock.lock().unwrap();
        let mut run = gaufre.command();
        run.args(["run", "--name=replaced", "--network=none"]).args(options).args([&image, "echo", "inside"]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let keeper = until("the keeper", || keepers(&gaufre).pop());
        kill9(&keeper.to_string());
        lock.unlock().unwrap();
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(gaufre.ok(&["wait", "replaced"]), "0\n");
        assert_eq!(gaufre.ok(&["logs", "replaced"]), "inside\n");
        if options.is_empty() {
            assert_eq!(output.stdout, b"inside\n");
        }
        gaufre.ok(&["rm", "replaced"]);
    }
}

#[test]
fn commands_that_recover_at_once_do_not_get_in_each_others_way() {
    let (gaufre, image) = ready();
    let id = detached(&gaufre, &image, &["--network=none"], "sleep 1000");
    for _ in 0..5 {
        kill9(&keeper(&gaufre, &id));
        let commands: Vec<_> = (0..12)
            .map(|number| {
                let mut command = gaufre.command();
                match number % 3 {
                    0 => command.args(["exec", &id, "true"]),
                    1 => command.args(["ps"]),
                    _ => command.args(["inspect", &id]),
                };
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for command in commands {
            let output = command.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
        assert_eq!(keepers(&gaufre).len(), 1);
    }
    gaufre.ok(&["rm", "-f", "--time=0", &id]);
}

#[test]
fn wait_and_logs_that_follow_survive_the_keeper() {
    let (gaufre, image) = ready();
    let gate = Gate::new(&gaufre, "gate");
    let script = format!("for i in $(seq 1 30); do echo $i; sleep 0.1; done; {WAIT}; exit 4");
    let id = detached(&gaufre, &image, &["--network=none", &gate.mount()], &script);
    let spawn = |arguments: &[&str]| gaufre.command().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let wait = spawn(&["wait", &id]);
    let follow = spawn(&["logs", "-f", &id]);
    let attach = spawn(&["attach", &id]);
    std::thread::sleep(Duration::from_millis(500));
    kill9(&keeper(&gaufre, &id));
    gate.open();
    assert_eq!(wait.wait_with_output().unwrap().stdout, b"4\n");
    assert_eq!(gapless(&String::from_utf8(follow.wait_with_output().unwrap().stdout).unwrap()), 30);
    assert_eq!(attach.wait_with_output().unwrap().status.code(), Some(4));
}

#[test]
fn a_client_killed_while_it_creates_or_removes_leaves_a_sound_store() {
    let (gaufre, image) = ready();
    let mut chance = Chance::new(Chance::seed());
    for round in 0..30 {
        let arguments: &[&str] = match round % 3 {
            0 => &["create", "--name=victim", "--network=none", &image, "true"],
            1 => &["rm", "-f", "victim"],
            _ => &["rmi", "-f", &image],
        };
        let mut command = gaufre.command();
        let mut command =
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(chance.up_to(Duration::from_millis(if round % 3 == 2 { 100 } else { 15 })));
        let _ = command.kill();
        command.wait().unwrap();
        let said = gaufre.say(&["system", "check"]);
        assert_eq!(said.code, 0, "round {round} {arguments:?}: {}{}", said.out, said.err);
        if round % 3 == 2 {
            gaufre.say(&["rm", "-f", "victim"]);
            gaufre.say(&["rmi", "-f", &image]);
            let registry = Registry::with_images();
            let name = gaufre.pull(&registry, "base");
            gaufre.ok(&["tag", &name, &image]);
        }
    }
    gaufre.ok(&["create", "--name=after", "--network=none", &image, "true"]);
    assert_eq!(
        std::fs::read_dir(gaufre.dir().join("root/names")).unwrap().count(),
        gaufre.ok(&["ps", "-aq"]).lines().count()
    );
}
