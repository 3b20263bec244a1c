//! A real nginx: its page is reached through a published port.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, Witness, free_port, get, until};
    use std::net::SocketAddr;

    #[test]
    fn nginx_serves_a_page_through_a_published_port_and_leaves_nothing() {
        let _alone = Witness::alone();
        let witness = Witness::now();
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "nginx");
        let port = free_port();
        gaufre.ok(&["run", "-d", "--name", "web", "-p", &format!("{port}:80"), &image]);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (status, body) = until("nginx to answer", || get(address, "/"));
        assert_eq!((status, body.trim()), (200, "<h1>A page out of a container</h1>"));
        assert_eq!(get(address, "/no-such-page").map(|answer| answer.0), Some(404));

        // Its log goes to /dev/stdout, and so to ours.
        let log = until("the access log", || {
            Some(gaufre.ok(&["logs", "web"])).filter(|log| log.contains("/no-such-page"))
        });
        assert!(log.contains("GET / HTTP/1.0"), "{log}");

        // The image's stop signal is SIGQUIT, on which nginx ends by itself.
        gaufre.ok(&["stop", "--time=60", "web"]);
        assert_eq!(gaufre.ok(&["wait", "web"]).trim(), "0");
        gaufre.ok(&["rm", "web"]);
        drop(gaufre);
        witness.nothing_more();
    }

    #[test]
    fn a_page_can_come_from_a_read_only_bind_mount() {
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "nginx");
        let site = gaufre.dir().join("site");
        std::fs::create_dir(&site).unwrap();
        std::fs::write(site.join("index.html"), "from the host").unwrap();
        let port = free_port();
        let volume = format!("{}:/var/www/html:ro", site.display());
        gaufre.ok(&[
            "run",
            "-d",
            "--name",
            "web",
            "-v",
            &volume,
            "-p",
            &format!("127.0.0.1:{port}:80"),
            &image,
        ]);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let answer = until("nginx to answer", || get(address, "/"));
        assert_eq!(answer, (200, "from the host".to_owned()));
        let said = gaufre.say(&["exec", "web", "touch", "/var/www/html/new"]);
        assert_ne!(said.code, 0);
        assert!(!site.join("new").exists());
    }
}
