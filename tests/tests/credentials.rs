//! Who pulls: client certificates, helpers that keep passwords, and tokens, against real registries.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Certificate, Gaufre, Registry, TokenIssuer};
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_registry_that_wants_a_certificate_gets_the_one_beside_its_authority() {
        let (registry, gaufre) = (Registry::mutual(), Gaufre::new());
        let image = registry.image("base");
        let pull =
            |dir: &Path| ["pull", "--quiet", "--cert-dir", dir.to_str().unwrap(), &image].map(str::to_owned);
        let refused = |dir: &Path| {
            let arguments = pull(dir);
            gaufre.fails(125, &arguments.each_ref().map(String::as_str))
        };
        let said = refused(&registry.certificate().trusted_dir());
        assert!(said.contains("certificate") && said.matches("Error:").count() == 1, "{said}");

        let dir = gaufre.dir().join("certificates");
        registry.certificate().for_client(&dir);
        let arguments = pull(&dir);
        gaufre.ok(&arguments.each_ref().map(String::as_str));
        gaufre.ok(&["rmi", &image]);

        let key = fs::read(dir.join("client.key")).unwrap();
        fs::remove_file(dir.join("client.key")).unwrap();
        assert!(refused(&dir).contains("client.key"));
        fs::write(dir.join("client.key"), "no key").unwrap();
        assert!(refused(&dir).contains("client.key"));

        let foreign = gaufre.dir().join("foreign");
        Certificate::new().for_client(&foreign);
        fs::copy(foreign.join("client.key"), dir.join("client.key")).unwrap();
        assert!(refused(&dir).contains(registry.address()), "the key is another's");

        // A certificate, but of somebody whom the registry does not know.
        fs::copy(dir.join("ca.crt"), foreign.join("ca.crt")).unwrap();
        assert!(refused(&foreign).contains(registry.address()));

        // Where podman looks for it, nothing has to be said.
        fs::write(dir.join("client.key"), key).unwrap();
        let usual = gaufre.dir().join(".config/containers/certs.d");
        fs::create_dir_all(&usual).unwrap();
        fs::rename(&dir, usual.join(registry.address())).unwrap();
        gaufre.ok(&["pull", "--quiet", &image]);
    }

    /// A helper as Docker's credential helpers are: asked for `get` with a server on its input.
    fn helper(gaufre: &Gaufre, name: &str, script: &str) {
        let path = gaufre.dir().join("bin").join(format!("docker-credential-{name}"));
        write(&path, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn pull(gaufre: &Gaufre, image: &str) -> gaufre_tests::Said {
        let mut command = gaufre.command();
        let path = format!("{}:{}", gaufre.dir().join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).args(["pull", "--quiet", "--tls-verify=false", image]);
        command.output().unwrap().into()
    }

    /// What a good helper does for a registry.
    fn knows(registry: &Registry) -> String {
        let answer = json!({"ServerURL": registry.address(), "Username": Registry::USER, "Secret": Registry::PASSWORD});
        format!(
            "test \"$1\" = get || exit 2\nread -r server\ntest \"$server\" = {} || {{ echo credentials not found in native keychain; exit 1; }}\necho '{answer}'",
            registry.address()
        )
    }

    #[test]
    fn a_helper_named_for_a_registry_is_asked_for_its_password() {
        let (registry, gaufre) = (Registry::guarded(), Gaufre::new());
        let image = registry.image("base");
        helper(&gaufre, "waffle", &knows(&registry));
        let file = gaufre.dir().join(".config/containers/auth.json");
        write(&file, &json!({"credHelpers": {registry.address(): "waffle"}}).to_string());
        let said = pull(&gaufre, &image);
        assert_eq!(said.code, 0, "{said:?}");
        gaufre.ok(&["rmi", &image]);
        // One for another registry is no help.
        write(&file, &json!({"credHelpers": {"registry.example": "waffle"}}).to_string());
        let said = pull(&gaufre, &image);
        assert!(said.code == 125 && said.err.contains("login"), "{said:?}");
    }

    #[test]
    fn a_store_of_all_passwords_is_asked_and_what_it_lacks_is_read_from_the_file() {
        let (registry, gaufre) = (Registry::guarded(), Gaufre::new());
        let image = registry.image("base");
        helper(&gaufre, "store", &knows(&registry));
        let file = gaufre.dir().join(".docker/config.json");
        // As docker login leaves it.
        write(&file, &json!({"auths": {registry.address(): {}}, "credsStore": "store"}).to_string());
        let said = pull(&gaufre, &image);
        assert_eq!(said.code, 0, "{said:?}");
        gaufre.ok(&["rmi", &image]);
        helper(&gaufre, "store", "echo credentials not found in native keychain; exit 1");
        let said = pull(&gaufre, &image);
        assert!(said.code == 125 && said.err.contains("login"), "{said:?}");
        // baker:syrup and sugar
        let auth = "YmFrZXI6c3lydXAgYW5kIHN1Z2Fy";
        write(
            &file,
            &json!({"auths": {registry.address(): {"auth": auth}}, "credsStore": "store"}).to_string(),
        );
        let said = pull(&gaufre, &image);
        assert_eq!(said.code, 0, "{said:?}");
    }

    #[test]
    fn a_helper_that_fails_is_named_and_what_it_knows_is_not() {
        let (registry, gaufre) = (Registry::guarded(), Gaufre::new());
        let image = registry.image("base");
        let file = gaufre.dir().join(".docker/config.json");
        write(&file, &json!({"credHelpers": {registry.address(): "broken"}}).to_string());
        for script in [
            "exit 3",
            "echo locked; exit 1",
            "echo no JSON but syrup",
            "echo '{\"Username\": \"baker\", \"Secret\": \"syrup\"}'",
        ] {
            helper(&gaufre, "broken", script);
            let said = pull(&gaufre, &image);
            assert_eq!((said.code, said.err.matches("Error:").count()), (125, 1), "{script}: {said:?}");
            assert!(!said.err.contains("syrup"), "{said:?}");
            let named = said.err.contains("docker-credential-broken") || said.err.contains("credentials");
            assert!(named, "{script}: {said:?}");
        }
        fs::remove_dir_all(gaufre.dir().join("bin")).unwrap();
        let said = pull(&gaufre, &image);
        assert!(said.code == 125 && said.err.contains("docker-credential-broken"), "{said:?}");
        assert_eq!(gaufre.ok(&["images", "--quiet"]), "");
    }

    #[test]
    fn an_identity_token_is_exchanged_for_one_that_the_registry_takes() {
        let (registry, gaufre) = (Registry::with_tokens(), Gaufre::new());
        let image = registry.image("base");
        let file = gaufre.dir().join(".config/containers/auth.json");
        let said = pull(&gaufre, &image);
        assert_eq!((said.code, registry.issuer().given()), (125, 0), "{said:?}");
        let with = |token: &str| json!({"auths": {registry.address(): {"identitytoken": token}}}).to_string();
        write(&file, &with("another"));
        let said = pull(&gaufre, &image);
        assert!(said.code == 125 && !said.err.contains("another"), "{said:?}");
        write(&file, &with(TokenIssuer::REFRESH_TOKEN));
        let said = pull(&gaufre, &image);
        assert_eq!(said.code, 0, "{said:?}\n{}", registry.log());
        assert_eq!(registry.issuer().given(), 1, "one token serves manifest, config and layers");
        gaufre.ok(&["run", "--rm", "--network=none", "--pull=never", &image, "true"]);
        // A helper may have it too.
        gaufre.ok(&["rmi", &image]);
        let answer = json!({"ServerURL": "", "Username": "<token>", "Secret": TokenIssuer::REFRESH_TOKEN});
        helper(&gaufre, "token", &format!("echo '{answer}'"));
        write(&file, &json!({"credHelpers": {registry.address(): "token"}}).to_string());
        let said = pull(&gaufre, &image);
        assert_eq!(said.code, 0, "{said:?}");
    }
}
