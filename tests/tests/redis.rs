//! A real redis: it answers, and its data outlives it.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, free_port, tool, until};

    fn redis(port: u16, words: &[&str]) -> Option<String> {
        let output =
            tool("redis-cli").args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(words).output();
        let output = output.expect("redis-cli runs: `cargo xtask test` installs it");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn answers(port: u16) {
        until("redis to answer", || redis(port, &["PING"]).filter(|said| said == "PONG"));
    }

    #[test]
    fn redis_answers_and_keeps_its_data_in_a_bind_mount_across_a_restart() {
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "redis");
        let data = gaufre.dir().join("data");
        std::fs::create_dir(&data).unwrap();
        let volume = format!("{}:/data", data.display());
        let port = free_port();
        let publish = format!("127.0.0.1:{port}:6379");
        gaufre.ok(&["run", "-d", "--name", "cache", "-v", &volume, "-p", &publish, &image]);
        answers(port);
        assert_eq!(redis(port, &["SET", "topping", "chocolate"]).as_deref(), Some("OK"));

        // redis saves on SIGTERM.
        gaufre.ok(&["stop", "cache"]);
        assert_eq!(redis(port, &["PING"]), None, "a stopped container still answers");
        gaufre.ok(&["start", "cache"]);
        answers(port);
        assert_eq!(redis(port, &["GET", "topping"]).as_deref(), Some("chocolate"));

        // Another container finds the data too.
        gaufre.ok(&["stop", "cache"]);
        gaufre.ok(&["rm", "cache"]);
        gaufre.ok(&["run", "-d", "--name", "cache", "-v", &volume, "-p", &publish, &image]);
        answers(port);
        assert_eq!(redis(port, &["GET", "topping"]).as_deref(), Some("chocolate"));
        assert!(data.join("dump.rdb").exists());
    }

    #[test]
    fn redis_runs_as_the_user_that_its_entrypoint_becomes() {
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "redis");
        gaufre.ok(&["run", "-d", "--name", "cache", &image]);
        until("redis to answer", || {
            let said = gaufre.say(&["exec", "cache", "redis-cli", "PING"]);
            (said.out == "PONG\n").then_some(())
        });
        let who = gaufre.ok(&["exec", "cache", "stat", "-c", "%U", "/proc/1"]);
        assert_eq!(who, "redis\n");
    }
}
