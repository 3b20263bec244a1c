//! Many processes at one bridge, and processes that are killed.

// The judges' own failures are panics too.
#[allow(clippy::unwrap_used, clippy::expect_used, dead_code)]
mod judge;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use gaufre_net::Net;

    use crate::judge::{Machine, attach, new_netns, traces, try_attach};

    #[test]
    fn fifty_processes_attach_at_once() {
        let machine = Machine::new();
        let before = traces(machine.run.path());
        let children: Vec<_> =
            (0..50).map(|at| child(machine.run.path(), "once", &format!("s{at}"), "80")).collect();
        let mut said = HashSet::new();
        let mut alive = Vec::new();
        for mut child in children {
            let mut line = String::new();
            let mut output = BufReader::new(child.0.stdout.take().unwrap());
            while !line.contains("attached") {
                line.clear();
                assert_ne!(output.read_line(&mut line).unwrap(), 0, "a process ended without an address");
            }
            assert!(said.insert(line.trim().to_owned()), "{line} twice");
            alive.push((child, output));
        }
        assert_eq!(said.len(), 50);
        assert_eq!(machine.net.list().unwrap().len(), 50);
        drop(alive);
        machine.net.gc(&[]).unwrap();
        assert_eq!(before, traces(machine.run.path()));
    }

    #[test]
    fn run_directories_that_begin_at_the_same_time_take_different_networks() {
        let machine = Machine::new();
        for round in 0..10 {
            let runs: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
            let mut children: Vec<_> =
                runs.iter().map(|run| child(run.path(), "once", &format!("s{round}"), "")).collect();
            let mut networks = HashSet::new();
            for child in &mut children {
                let mut output = BufReader::new(child.0.stdout.take().unwrap());
                let mut line = String::new();
                while !line.contains("attached") {
                    line.clear();
                    assert_ne!(output.read_line(&mut line).unwrap(), 0, "a process ended without an address");
                }
                let (network, _) = line.trim().rsplit_once('.').unwrap();
                assert!(networks.insert(network.to_owned()), "{network} twice in round {round}");
            }
            drop(children);
            for run in &runs {
                Net::open(run.path()).unwrap().gc(&[]).unwrap();
            }
        }
        drop(machine);
    }

    #[test]
    fn a_process_killed_at_any_instant_leaves_nothing_that_gc_does_not_find() {
        let machine = Machine::new();
        let netns = new_netns();
        let keep = attach(&machine, "keep", &netns, "8080:80");
        machine.net.detach("keep").unwrap();
        drop(keep);
        let before = traces(machine.run.path());
        for round in 0..30u64 {
            let mut child = child(machine.run.path(), "loop", "victim", "8081:80 53:53/udp");
            let mut output = BufReader::new(child.0.stdout.take().unwrap());
            let mut line = String::new();
            while !line.contains("ready") {
                line.clear();
                assert_ne!(output.read_line(&mut line).unwrap(), 0);
            }
            thread::sleep(Duration::from_micros(round * 397));
            drop(child);
            let net = Net::open(machine.run.path()).unwrap();
            net.gc(&[]).unwrap();
            assert_eq!(before, traces(machine.run.path()), "round {round}");
        }
    }

    /// Runs [`acts_as_a_process_of_its_own`] in another process, in this thread's network namespace.
    fn child(run: &Path, act: &str, id: &str, ports: &str) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::acts_as_a_process_of_its_own", "--nocapture"])
            .env("GAUFRE_NET_TEST_ACT", act)
            .env("GAUFRE_NET_TEST_RUN", run)
            .env("GAUFRE_NET_TEST_ID", id)
            .env("GAUFRE_NET_TEST_PORTS", ports)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Process(child)
    }

    /// A process that does not outlive its test.
    struct Process(Child);

    impl Drop for Process {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// Nothing when run as a test: the other side of [`child`].
    #[test]
    fn acts_as_a_process_of_its_own() {
        let Ok(act) = std::env::var("GAUFRE_NET_TEST_ACT") else { return };
        let variable = |name: &str| std::env::var(format!("GAUFRE_NET_TEST_{name}")).unwrap();
        let (id, ports) = (variable("ID"), variable("PORTS"));
        let net = Net::open(Path::new(&variable("RUN"))).unwrap();
        if act == "once" {
            let netns = new_netns();
            let attached = try_attach(&net, &id, &netns, &ports).unwrap();
            println!("\nattached {}", attached.attachment.ip);
            thread::sleep(Duration::from_secs(600));
            return;
        }
        println!("\nready");
        loop {
            let netns = new_netns();
            drop(try_attach(&net, &id, &netns, &ports).unwrap());
            net.detach(&id).unwrap();
        }
    }
}
