//! What the test images are made of. Changing anything here gives the images a new key, so that they are made anew.

/// Raised when the code that makes images changes what comes out of the same recipes.
pub(super) const VERSION: &str = "1";

/// Debian's release that the images consist of.
pub(super) const SUITE: &str = "bookworm";

/// One layer: packages installed over the layers below, then a shell script run in it.
#[derive(Debug)]
pub(super) struct LayerRecipe {
    pub(super) name: &'static str,
    pub(super) parent: Option<&'static str>,
    /// A shell script run in the chroot before the packages are installed.
    pub(super) prepare: &'static str,
    pub(super) packages: &'static [&'static str],
    /// A shell script run in the chroot after the packages are installed.
    pub(super) setup: &'static str,
}

/// One image: the topmost of its layers, and its config.
#[derive(Debug)]
pub(super) struct ImageRecipe {
    pub(super) name: &'static str,
    pub(super) top: &'static str,
    pub(super) entrypoint: &'static [&'static str],
    pub(super) cmd: &'static [&'static str],
    pub(super) env: &'static [&'static str],
    pub(super) user: &'static str,
    pub(super) ports: &'static [&'static str],
    pub(super) workdir: &'static str,
    pub(super) stop_signal: &'static str,
}

/// In the order they are made: a layer comes after its parent.
pub(super) const LAYERS: &[LayerRecipe] = &[
    LayerRecipe { name: "base", parent: None, prepare: "", packages: &[], setup: "" },
    // The big ones first: they take longest to compress.
    LayerRecipe { name: "gcc", packages: &["g++", "gfortran", "make"], ..ON_BASE },
    LayerRecipe { name: "go", parent: Some("gcc"), packages: &["golang-go"], ..ON_BASE },
    LayerRecipe {
        name: "java",
        parent: Some("go"),
        // Java's installation links manuals there, though none are installed.
        prepare: "mkdir -p /usr/share/man/man1",
        packages: &["default-jdk-headless"],
        ..ON_BASE
    },
    LayerRecipe { name: "python", packages: &["python3"], ..ON_BASE },
    LayerRecipe { name: "redis", packages: &["redis-server"], setup: REDIS, ..ON_BASE },
    LayerRecipe { name: "nginx", packages: &["nginx-light"], setup: NGINX, ..ON_BASE },
    LayerRecipe {
        name: "postgresql",
        prepare: "mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf",
        packages: &["postgresql"],
        setup: POSTGRESQL,
        ..ON_BASE
    },
];

const ON_BASE: LayerRecipe =
    LayerRecipe { name: "", parent: Some("base"), prepare: "", packages: &[], setup: "" };

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const PLAIN: ImageRecipe = ImageRecipe {
    name: "base",
    top: "base",
    entrypoint: &[],
    cmd: &["bash"],
    env: &[PATH],
    user: "",
    ports: &[],
    workdir: "",
    stop_signal: "",
};

/// The images, by the name that each has in the layout.
pub(super) const IMAGES: &[ImageRecipe] = &[
    PLAIN,
    ImageRecipe { name: "python", top: "python", cmd: &["python3"], env: &[PATH, "LANG=C.UTF-8"], ..PLAIN },
    ImageRecipe {
        name: "redis",
        top: "redis",
        entrypoint: &["entrypoint"],
        cmd: &["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/data"],
        ports: &["6379/tcp"],
        workdir: "/data",
        ..PLAIN
    },
    ImageRecipe {
        name: "nginx",
        top: "nginx",
        cmd: &["nginx", "-g", "daemon off;"],
        ports: &["80/tcp"],
        stop_signal: "SIGQUIT",
        ..PLAIN
    },
    ImageRecipe {
        name: "postgresql",
        top: "postgresql",
        entrypoint: &["entrypoint"],
        cmd: &["postgres"],
        env: &[PATH, "LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data", "POSTGRES_PASSWORD=waffle"],
        user: "postgres",
        ports: &["5432/tcp"],
        stop_signal: "SIGINT",
        ..PLAIN
    },
    ImageRecipe { name: "big", top: "java", env: &[PATH, "LANG=C.UTF-8"], ..PLAIN },
];

/// As service images usually begin: as root it hands the data over to the service's user and becomes it.
const REDIS: &str = r#"mkdir -p /data
chown redis:redis /data
cat > /usr/local/bin/entrypoint <<'END'
#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then
    chown -R redis:redis /data
    exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
exec "$@"
END
chmod 755 /usr/local/bin/entrypoint"#;

const NGINX: &str = "ln -sf /dev/stdout /var/log/nginx/access.log
ln -sf /dev/stderr /var/log/nginx/error.log
echo '<h1>A page out of a container</h1>' > /var/www/html/index.html";

const POSTGRESQL: &str = r#"mkdir -p /var/lib/postgresql/data /run/postgresql
chown postgres:postgres /var/lib/postgresql/data /run/postgresql
chmod 700 /var/lib/postgresql/data
cat > /usr/local/bin/entrypoint <<'END'
#!/bin/sh
set -e
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin)"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username=postgres --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 > /dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
fi
exec "$@"
END
chmod 755 /usr/local/bin/entrypoint"#;

/// The layers under `layer`, nearest first.
pub(super) fn below(layer: &LayerRecipe) -> impl Iterator<Item = &'static LayerRecipe> {
    std::iter::successors(layer.parent.and_then(find), |layer| layer.parent.and_then(find))
}

/// The layers of `image`, lowest first.
pub(super) fn layers(image: &ImageRecipe) -> Vec<&'static LayerRecipe> {
    let mut layers: Vec<_> = find(image.top).into_iter().collect();
    if let Some(top) = layers.first().copied() {
        layers.extend(below(top));
    }
    layers.reverse();
    layers
}

fn find(name: &str) -> Option<&'static LayerRecipe> {
    LAYERS.iter().find(|layer| layer.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_rests_on_the_base() {
        for image in IMAGES {
            let layers = layers(image);
            assert_eq!(layers.first().map(|layer| layer.name), Some("base"), "{}", image.name);
            assert_eq!(layers.last().map(|layer| layer.name), Some(image.top));
        }
    }

    #[test]
    fn a_layer_comes_after_its_parent() {
        for (at, layer) in LAYERS.iter().enumerate() {
            if let Some(parent) = layer.parent {
                assert!(LAYERS[..at].iter().any(|earlier| earlier.name == parent), "{}", layer.name);
            }
        }
    }
}
