//! A terminal inside, seen from a terminal outside, which script(1) makes.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, until};
    use std::io::{Read, Write};
    use std::process::{Child, ChildStdin, Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    fn ready() -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        (gaufre, image)
    }

    /// gaufre on a terminal: what is typed goes in, what is shown comes out.
    struct Terminal {
        child: Child,
        keys: ChildStdin,
        screen: Arc<Mutex<String>>,
    }

    impl Terminal {
        /// Runs gaufre with `words`, which a shell splits, on a terminal of 40 lines and 100 characters.
        fn new(gaufre: &Gaufre, words: &str) -> Self {
            let command = gaufre.command();
            let program: Vec<&str> = std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| word.to_str().unwrap())
                .collect();
            let line = format!("stty rows 40 cols 100; exec {} {words}", program.join(" "));
            let mut script = Command::new("script");
            script.args(["-qefc", &line, "/dev/null"]).env("HOME", gaufre.dir()).env("SHELL", "/bin/sh");
            let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (keys, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let screen = Arc::new(Mutex::new(String::new()));
            let shown = Arc::clone(&screen);
            std::thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(len @ 1..) = out.read(&mut chunk) {
                    shown.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..len]));
                }
            });
            Self { child, keys, screen }
        }

        fn type_in(&mut self, keys: &str) {
            self.keys.write_all(keys.as_bytes()).unwrap();
            self.keys.flush().unwrap();
        }

        fn screen(&self) -> String {
            self.screen.lock().unwrap().clone()
        }

        fn shows(&self, text: &str) {
            let deadline = std::time::Instant::now() + Duration::from_secs(120);
            while !self.screen().contains(text) {
                assert!(std::time::Instant::now() < deadline, "{text:?} is not in {:?}", self.screen());
                std::thread::sleep(Duration::from_millis(20));
            }
        }

        /// Types `keys` again and again until what they have the shell show is there: until somebody takes them in they
        /// may be lost.
        fn gets_through(&mut self, keys: &str, shown: &str) {
            until(shown, || {
                self.type_in(keys);
                std::thread::sleep(Duration::from_millis(200));
                self.screen().contains(shown).then_some(())
            });
        }

        fn ends_with(mut self, code: i32) {
            let status = until("the end of the session", || self.child.try_wait().unwrap());
            assert_eq!(status.code(), Some(code), "{}", self.screen());
        }
    }

    const SHELL: &str = "env PS1=ready: bash --norc --noprofile";

    #[test]
    fn what_is_typed_is_shown_and_done_in_a_terminal_of_the_right_size() {
        let (gaufre, image) = ready();
        let mut terminal = Terminal::new(&gaufre, &format!("run --rm -it --network=none {image} {SHELL}"));
        terminal.shows("ready:");
        terminal.type_in("tty; stty size\n");
        terminal.shows("/dev/pts/0");
        terminal.shows("40 100");
        // Shown twice: as it is typed, and by echo.
        terminal.type_in("echo waf''fle\n");
        terminal.shows("echo waf''fle\r\n");
        terminal.shows("waffle\r\n");
        terminal.type_in("bash -c 'echo sle''eps; exec sleep 1000'\n");
        terminal.shows("sleeps\r\n");
        terminal.type_in("\x03");
        terminal.type_in("echo code $?\n");
        terminal.shows("code 130");
        terminal.type_in("exit 21\n");
        terminal.ends_with(21);
    }

    #[test]
    fn who_leaves_by_the_detach_keys_can_come_back() {
        let (gaufre, image) = ready();
        let mut terminal =
            Terminal::new(&gaufre, &format!("run -it --name=stay --network=none {image} {SHELL}"));
        terminal.shows("ready:");
        terminal.type_in("left=here\n");
        terminal.shows("left=here\r\n");
        terminal.type_in("\x10\x11");
        terminal.ends_with(0);
        assert_eq!(gaufre.ok(&["ps", "--format", "{{.Names}}"]), "stay\n");
        let mut again = Terminal::new(&gaufre, "attach --detach-keys=ctrl-a,d stay");
        again.gets_through("\n", "ready:");
        again.type_in("echo $left; stty size\n");
        again.shows("here\r\n");
        again.shows("40 100");
        again.type_in("\x01d");
        again.ends_with(0);
        // Two at once see the same.
        let mut one = Terminal::new(&gaufre, "attach stay");
        let mut other = Terminal::new(&gaufre, "attach stay");
        one.gets_through("\n", "ready:");
        other.gets_through("\n", "ready:");
        one.type_in("echo bo''th\n");
        one.shows("both\r\n");
        other.shows("both\r\n");
        one.type_in("exit 9\n");
        one.ends_with(9);
        other.ends_with(9);
        assert!(gaufre.ok(&["logs", "stay"]).contains("both"));
    }

    #[test]
    fn exec_has_a_terminal_of_its_own() {
        let (gaufre, image) = ready();
        let id = gaufre.ok(&["run", "-d", "--network=none", &image, "sleep", "1000"]).trim().to_owned();
        let mut terminal = Terminal::new(&gaufre, &format!("exec -it {id} {SHELL}"));
        terminal.shows("ready:");
        terminal.type_in("tty; stty size; kill -INT $$; echo still\n");
        terminal.shows("/dev/pts/0");
        terminal.shows("40 100");
        terminal.shows("still\r\n");
        terminal.type_in("exit 17\n");
        terminal.ends_with(17);
        // A terminal, and nobody who types.
        assert_eq!(gaufre.ok(&["exec", "-t", &id, "tty"]), "/dev/pts/0\r\n");
        assert_eq!(gaufre.say(&["exec", "-i", &id, "tty"]).out, "not a tty\n");
    }

    #[test]
    fn a_session_goes_on_when_the_keeper_is_killed() {
        let (gaufre, image) = ready();
        let mut terminal =
            Terminal::new(&gaufre, &format!("run -it --name=kept --network=none {image} {SHELL}"));
        terminal.shows("ready:");
        let keeper = gaufre.processes().into_iter().find(|pid| {
            std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"gaufre-keeper\n")
        });
        gaufre_tests::run(gaufre_tests::tool("kill").args(["-KILL", &keeper.unwrap().to_string()]));
        terminal.gets_through("echo thr''ough\n", "through\r\n");
        terminal.type_in("exit 4\n");
        terminal.ends_with(4);
    }

    #[test]
    fn a_terminal_that_everybody_closes_for_a_while_is_there_again() {
        let (gaufre, image) = ready();
        let script = "exec </dev/null >/dev/null 2>&1; sleep 0.5; echo back > /dev/pts/0; exit 3";
        let id = gaufre.ok(&["run", "-d", "-t", "--network=none", &image, "bash", "-c", script]);
        assert_eq!(gaufre.ok(&["wait", id.trim()]), "3\n");
        assert!(gaufre.ok(&["logs", id.trim()]).contains("back"));
    }
}
