//! Names and texts that others choose: no line of a file that we write, and no terminal, does what they say.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Said, run, tool};
    use serde_json::{Value, json};
    use std::fs;

    /// Clears the screen, sets the title, moves left, rings; in seven bits and in eight (ECMA-48).
    const EVIL: &str = "ev\u{1b}[2J\u{1b}]0;owned\u{7}\u{8}\u{9b}31m\u{7f}\r\nil";

    fn tame(said: &Said) {
        for text in [&said.out, &said.err] {
            let wild = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(wild, None, "{text:?}");
        }
    }

    fn refused(gaufre: &Gaufre, image: &str, option: &str, value: &str) {
        let option = format!("{option}={value}");
        let said = gaufre.say(&["run", "--rm", &option, image, "true"]);
        assert_eq!(said.code, 125, "{option:?}: {said:?}");
        assert_eq!(said.err.matches("Error").count(), 1, "{said:?}");
        tame(&said);
        assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "");
    }

    #[test]
    fn a_line_break_in_an_option_does_not_become_a_line_of_a_file() {
        let gaufre = Gaufre::new();
        let image = Crafted::busybox().load(&gaufre, "example.com/busybox:1");
        for (option, value) in [
            ("--hostname", "host\n10.9.9.9 bank.example"),
            ("--hostname", "host\u{1b}[2J"),
            ("--hostname", "host 10.9.9.9"),
            ("--hostname", ""),
            ("--name", "name\n10.9.9.9"),
            ("--name", "name\u{1b}[2J"),
            ("--add-host", "a:10.1.1.1\n10.9.9.9 bank.example"),
            ("--add-host", "a\n10.9.9.9 bank.example:10.1.1.1"),
            ("--add-host", "a b:10.1.1.1"),
            ("--add-host", "a\u{1b}[2J:10.1.1.1"),
            ("--dns", "192.0.2.1\nnameserver 192.0.2.66"),
            ("--dns", "192.0.2.1 192.0.2.66"),
            ("--dns-search", "a\nnameserver 192.0.2.66"),
            ("--dns-option", "ndots:1\nnameserver 192.0.2.66"),
        ] {
            // An empty host name means none was given, as in podman.
            if !value.is_empty() {
                refused(&gaufre, image, option, value);
            }
        }
    }

    #[test]
    fn a_line_break_in_a_variable_stays_in_its_value() {
        let gaufre = Gaufre::new();
        let image = Crafted::busybox().load(&gaufre, "example.com/busybox:1");
        let script =
            "printf '[%s]' \"$GOOD\" \"${BAD-unset}\"; cat /etc/hosts /etc/resolv.conf /etc/hostname";
        let variable = "GOOD=one\nBAD=two";
        let said = gaufre.ok(&["run", "--rm", "--network=none", "-e", variable, image, "sh", "-c", script]);
        assert!(said.starts_with("[one\nBAD=two][unset]"), "{said}");
        assert_eq!(said.matches("BAD").count(), 1, "{said}");
        let id = gaufre.ok(&["run", "-d", "--network=none", "-e", variable, image, "sleep", "1000"]);
        assert_eq!(gaufre.ok(&["exec", id.trim(), "sh", "-c", "echo ${BAD-unset}"]), "unset\n");
        let said =
            gaufre.ok(&["exec", "-e", "MORE=1\nWORSE=2", id.trim(), "sh", "-c", "echo ${WORSE-unset}"]);
        assert_eq!(said, "unset\n");
    }

    /// An image whose config is full of what a terminal obeys.
    fn hostile(gaufre: &Gaufre) -> &'static str {
        Crafted::busybox()
            .config("Cmd", json!([EVIL, EVIL]))
            .config("Env", json!(["PATH=/bin", format!("EVIL={EVIL}")]))
            .config("Labels", json!({"label": EVIL, EVIL: "value"}))
            .config("Hostname", json!("evil\n10.9.9.9 bank.example"))
            .config("Domainname", json!("evil\nnameserver 192.0.2.66"))
            .top("author", json!(EVIL))
            .top("created", json!(EVIL))
            .top("variant", json!(EVIL))
            .top("history", json!([{"created_by": EVIL, "comment": EVIL, "author": EVIL}]))
            .load(gaufre, "example.com/hostile:1")
    }

    #[test]
    fn what_an_image_says_of_itself_does_not_work_the_terminal() {
        let gaufre = Gaufre::new();
        let image = hostile(&gaufre);
        gaufre.ok(&["create", "--name=shown", image]);
        // Nothing of that name is there to be run: what is said of it repeats the name.
        let said = gaufre.say(&["start", "shown"]);
        assert!([126, 127].contains(&said.code) && said.err.contains("ev"), "{said:?}");
        tame(&said);
        for arguments in [
            &["images"][..],
            &["images", "--digests", "--no-trunc"],
            &["images", "--format", "json"],
            &["images", "--format", "table {{.ID}} {{.Labels}} {{.CreatedAt}} {{.Platform}}"],
            &["ps", "--all"],
            &["ps", "--all", "--no-trunc"],
            &["ps", "--all", "--format", "json"],
            &["ps", "--all", "--format", "table {{.Command}} {{.Labels}} {{.Image}}"],
            &["inspect", image],
            &["inspect", "shown"],
            &["system", "df"],
            &["system", "check"],
        ] {
            let said = gaufre.say(arguments);
            assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
            tame(&said);
        }
        // Nothing is lost for who reads it by program.
        let inspected: Value = serde_json::from_str(&gaufre.ok(&["inspect", image])).unwrap();
        assert_eq!(inspected[0]["Config"]["Labels"]["label"], EVIL, "{inspected}");
        let plain = gaufre.ok(&["inspect", "--format", "{{.Config.Labels.label}}", image]);
        assert_eq!(plain, format!("{EVIL}\n"));
        // A table has a line for each thing.
        assert_eq!(gaufre.ok(&["ps", "--all", "--no-trunc"]).lines().count(), 2);
        let table = ["ps", "--all", "--format", "table {{.Labels}} {{.Names}}"];
        assert_eq!(gaufre.ok(&table).lines().count(), 2);
    }

    #[test]
    fn a_template_prints_what_an_image_says_to_a_terminal_without_its_orders() {
        let gaufre = Gaufre::new();
        let image = hostile(&gaufre);
        gaufre.ok(&["create", "--name=shown", image]);
        for arguments in [
            ["inspect", "--format", "{{.Config.Labels.label}}", image],
            ["ps", "--all", "--format", "{{.Labels}} {{.Command}}"],
            ["images", "--no-trunc", "--format", "{{.Labels}} {{.CreatedAt}}"],
        ] {
            // script(1) gives it a terminal, and prints what was written to that.
            let command = gaufre.command();
            let words = command.get_args().map(|word| word.to_str().unwrap()).chain(arguments);
            let line: String = words.map(|word| format!(" '{word}'")).collect();
            let line = format!("'{}'{line}", gaufre.binary().display());
            let mut script = tool("script");
            script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("HOME", gaufre.dir());
            let shown = run(&mut script).replace("\r\n", "\n");
            assert!(shown.contains("ev"), "{shown:?}");
            tame(&Said { out: shown, err: String::new(), code: 0 });
        }
    }

    #[test]
    fn an_image_cannot_write_into_the_files_of_the_network() {
        let gaufre = Gaufre::new();
        let image = hostile(&gaufre);
        let script = "cat /etc/hosts /etc/resolv.conf /etc/hostname; hostname";
        let said = gaufre.ok(&["run", "--rm", image, "sh", "-c", script]);
        assert!(
            !said.contains("bank.example") && !said.contains("192.0.2.66") && !said.contains("evil"),
            "{said}"
        );
    }

    #[test]
    fn an_exposed_port_that_is_none_is_not_published() {
        let gaufre = Gaufre::new();
        let ports =
            json!({EVIL: {}, "80/tcp\n": {}, "99999/tcp": {}, "-1": {}, "80/evil": {}, "8000/tcp": {}});
        let image = Crafted::busybox().config("ExposedPorts", ports).load(&gaufre, "example.com/odd:1");
        gaufre.ok(&["run", "-d", "-P", "--name=odd", image, "sleep", "1000"]);
        let said = gaufre.say(&["ps", "--no-trunc"]);
        tame(&said);
        assert!(said.out.contains("->8000/tcp") && said.out.matches("->").count() == 1, "{said:?}");
        tame(&gaufre.say(&["inspect", "odd"]));
    }

    #[test]
    fn a_setting_of_an_image_that_cannot_be_is_refused_without_its_orders() {
        let gaufre = Gaufre::new();
        for (key, value) in [
            ("User", json!(EVIL)),
            ("WorkingDir", json!(EVIL)),
            ("StopSignal", json!(EVIL)),
            ("Entrypoint", json!([format!("/{EVIL}")])),
            ("Volumes", json!({EVIL: {}})),
        ] {
            let image = Crafted::busybox().config(key, value).load(&gaufre, "example.com/odd:1");
            let said = gaufre.say(&["run", "--rm", "-P", image, "true"]);
            assert!([125, 126, 127].contains(&said.code), "{key}: {said:?}");
            assert_eq!(said.err.matches("Error").count(), 1, "{key}: {said:?}");
            tame(&said);
            assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "", "{key}");
            let left = fs::read_dir(gaufre.dir().join("root/volumes")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{key}");
        }
    }
}
