//! Trees deeper than a process may have files open: whoever made them, they can be removed.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, until};
    use std::fs;
    use std::process::Command;

    const DIG: &str = "
import os, sys
os.chdir(sys.argv[1])
for _ in range(6000):
    os.mkdir('d')
    os.chdir('d')
print('dug')
";

    /// With as many open files as a login shell allows.
    fn limited(gaufre: &Gaufre, arguments: &[&str]) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 1024 && exec \"$@\"", "sh"]).arg(gaufre.binary());
        command.args(gaufre.command().get_args()).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn nothing_is_left(gaufre: &Gaufre) {
        let sandboxes = gaufre.dir().join("root/sandboxes");
        until("the end of the files", || (fs::read_dir(&sandboxes).unwrap().count() == 0).then_some(()));
        assert_eq!(gaufre.ok(&["system", "check"]).lines().last(), Some("Nothing is wrong."));
    }

    #[test]
    fn a_container_that_dug_as_deep_as_it_could_is_removed() {
        let gaufre = Gaufre::new();
        let image = Crafted::over("python").load(&gaufre, "example.com/digs:1");
        let run = ["run", "--network=none", "-v", "/volume"];
        let dig = |more: &[&str], place: &str| {
            limited(&gaufre, &[&run[..], more, &[image, "python3", "-c", DIG, place]].concat())
        };
        assert_eq!(dig(&["--rm"], "/tmp"), "dug\n");
        nothing_is_left(&gaufre);
        assert_eq!(dig(&["--name=digger"], "/tmp"), "dug\n");
        limited(&gaufre, &["rm", "--volumes", "digger"]);
        nothing_is_left(&gaufre);
        assert_eq!(dig(&["--rm"], "/volume"), "dug\n");
        nothing_is_left(&gaufre);
        assert_eq!(gaufre.ok(&["volume", "ls", "-q"]), "");
    }
}
