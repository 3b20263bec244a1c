//! A real PostgreSQL: it makes a cluster as its image's user, and answers SQL from the host and from a neighbour.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, free_port, tool, until};

    #[test]
    fn postgresql_answers_sql() {
        let registry = Registry::with_images();
        let gaufre = Gaufre::new();
        let image = gaufre.pull(&registry, "postgresql");
        let port = free_port();
        gaufre.ok(&["run", "-d", "--name", "db", "-p", &format!("127.0.0.1:{port}:5432"), &image]);
        let psql = |sql: &str| {
            let address = format!("host=127.0.0.1 port={port} user=postgres connect_timeout=5");
            let output = tool("psql").env("PGPASSWORD", "waffle").args(["-At", "-c", sql, &address]).output();
            let output = output.expect("psql runs: `cargo xtask test` installs it");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        assert_eq!(until("postgresql to answer", || psql("select 6 * 7")), "42");
        psql("create table waffles (name text); insert into waffles values ('liège'), ('brussels')")
            .expect("a table");
        assert_eq!(psql("select count(*) from waffles").as_deref(), Some("2"));
        assert_eq!(psql("show data_directory").as_deref(), Some("/var/lib/postgresql/data"));
        assert_eq!(gaufre.ok(&["exec", "db", "id", "-un"]), "postgres\n");

        // SIGINT, the image's stop signal, is PostgreSQL's fast and clean end.
        gaufre.ok(&["stop", "--time=20", "db"]);
        assert_eq!(gaufre.ok(&["wait", "db"]).trim(), "0");
        gaufre.ok(&["start", "db"]);
        let count = until("postgresql to answer again", || psql("select count(*) from waffles"));
        assert_eq!(count, "2", "a container keeps what it wrote while it exists");
    }
}
