//! Where a command runs: a directory that was asked for has to be there, one that the image says is made.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre};
    use serde_json::json;

    const BASE: &str = "localhost/base:latest";

    #[test]
    fn a_mistyped_working_directory_is_refused_and_not_made() {
        let gaufre = Gaufre::new();
        Crafted::busybox().load(&gaufre, BASE);
        let run = ["run", "--rm", "--network=none", "--pull=never", "--volume=/usr:/mnt/host"];
        let run_in = |directory| [&run[..], &["-w", directory, BASE, "pwd"]].concat();
        for missing in ["/no/such", "/etc/passwd", "/tmp/../no"] {
            let error = gaufre.fails(126, &run_in(missing));
            assert!(error.contains(missing) && error.contains("does not exist"), "{error}");
        }
        assert_eq!(gaufre.ok(&run_in("/tmp")), "/tmp\n");
        assert_eq!(gaufre.ok(&run_in("/mnt/host/bin")), "/mnt/host/bin\n", "of a mount");

        gaufre.ok(&["run", "-d", "--network=none", "--name=web", BASE, "sleep", "1000"]);
        let error = gaufre.fails(126, &["exec", "-w", "/no/such", "web", "pwd"]);
        assert!(error.contains("/no/such"), "{error}");
        assert_eq!(gaufre.ok(&["exec", "-w", "/proc/self", "web", "sh", "-c", "echo here"]), "here\n");
        gaufre.fails(1, &["exec", "web", "test", "-e", "/no"]);
    }

    #[test]
    fn the_images_own_working_directory_is_made() {
        let gaufre = Gaufre::new();
        Crafted::busybox().config("WorkingDir", json!("/srv/app")).load(&gaufre, BASE);
        let run = ["run", "--rm", "--network=none", "--pull=never"];
        assert_eq!(gaufre.ok(&[&run[..], &[BASE, "pwd"]].concat()), "/srv/app\n");
        assert_eq!(gaufre.ok(&[&run[..], &["-w", "/srv/app", BASE, "pwd"]].concat()), "/srv/app\n");
    }
}
