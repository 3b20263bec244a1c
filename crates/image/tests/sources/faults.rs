//! Each way in which a registry can misbehave gives one clear error, or is overcome.

use std::time::{Duration, Instant};

use gaufre_image::build::BuiltImage;
use gaufre_image::{Compression, Registry, RegistryOptions, ResolveError, RetryPolicy, Timeouts, digest_of};

use crate::faulty_server::{Answer, Asked, FaultyServer};
use crate::layout::{amd64, chain, image, read_layers};

const LEN: usize = 3_000_000;

/// So long a registry may be silent that does answer, on whatever machine.
const PATIENT: Duration = Duration::from_secs(60);
/// So long one may be that does not.
const IMPATIENT: Duration = Duration::from_millis(700);

fn registry(silence: Duration) -> Registry {
    Registry::new(RegistryOptions {
        tls_verify: Some(false),
        timeouts: Timeouts { connect: silence, response: silence, idle: silence },
        retry: RetryPolicy {
            attempts: 3,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(50),
            longest_retry_after: Duration::from_secs(2),
        },
        ..RegistryOptions::default()
    })
    .unwrap()
}

/// Pulls everything; an error comes as the text that the program would print.
fn pull(server: &FaultyServer) -> Result<usize, String> {
    pull_within(PATIENT, server)
}

fn pull_within(silence: Duration, server: &FaultyServer) -> Result<usize, String> {
    let registry = registry(silence);
    let image = registry.resolve(&server.reference(), &amd64()).map_err(|error| chain(&error))?;
    read_layers(&registry, &image).map_err(|error| {
        let inner = error.get_ref().map(|inner| chain(inner));
        inner.unwrap_or_else(|| error.to_string())
    })
}

fn with_layer_fault(
    image: &BuiltImage,
    fault: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> FaultyServer {
    let known = image.clone();
    FaultyServer::start(image, move |asked| if asked.is_layer(&known) { fault(asked) } else { Answer::Usual })
}

fn assert_names(text: &str, server: &FaultyServer, words: &[&str]) {
    for word in [server.address.as_str()].iter().chain(words) {
        assert!(text.contains(word), "{word:?} is missing in: {text}");
    }
}

#[test]
fn a_layer_that_breaks_off_is_resumed_where_it_broke() {
    let image = image(LEN, Compression::Plain);
    let server = with_layer_fault(&image, |asked| match asked.nth {
        0 => Answer::CutAfter(1_000_000),
        1 => Answer::CutAfter(500_000),
        _ => Answer::Usual,
    });
    assert_eq!(pull(&server), Ok(1));
    let offsets = server.layer_offsets(&image);
    assert_eq!(offsets.len(), 3);
    assert_eq!(offsets[0], None);
    // The peer's reset may overtake the last bytes, so only the order is certain.
    assert!(offsets[1] > Some(0) && offsets[2] >= offsets[1], "{offsets:?}");
}

#[test]
fn a_registry_that_knows_no_ranges_sends_everything_again_and_is_overcome() {
    let image = image(LEN, Compression::Plain);
    let server = with_layer_fault(&image, |asked| match asked.nth {
        0 => Answer::CutAfter(1_000_000),
        _ => Answer::IgnoreRange,
    });
    assert_eq!(pull(&server), Ok(1));
}

#[test]
fn a_registry_that_dies_for_good_is_named_with_how_far_it_came() {
    let image = image(LEN, Compression::Plain);
    let server = with_layer_fault(&image, |_| Answer::CutAfter(1000));
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["broke after", image.layer.digest.as_ref()]);
}

#[test]
fn wrong_content_of_the_right_length_is_refused_at_its_end() {
    let image = image(LEN, Compression::Plain);
    let mut wrong = image.layer.bytes.to_vec();
    wrong[LEN / 2] ^= 1;
    let found = digest_of(&wrong);
    let server = with_layer_fault(&image, move |_| Answer::Body(wrong.clone()));
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["wrong content", image.layer.digest.as_ref(), found.as_ref()]);
}

#[test]
fn a_wrong_announced_size_is_refused_before_anything_is_read() {
    let image = image(LEN, Compression::Plain);
    let whole = image.layer.bytes.to_vec();
    for other in [whole[..LEN / 2].to_vec(), [&whole[..], b"more"].concat()] {
        let len = other.len().to_string();
        let server = with_layer_fault(&image, move |_| Answer::Body(other.clone()));
        let error = pull(&server).unwrap_err();
        assert_names(&error, &server, &["where the manifest says", &len, image.layer.digest.as_ref()]);
    }
}

#[test]
fn a_truncated_stream_is_refused() {
    let image = image(LEN, Compression::Plain);
    let short = image.layer.bytes[..LEN / 2].to_vec();
    let server = with_layer_fault(&image, move |asked| match asked.from_byte {
        None => Answer::Chunked(short.clone()),
        Some(_) => Answer::Status("200 OK", "Transfer-Encoding: identity\r\n".to_owned()),
    });
    let error = pull_within(IMPATIENT, &server).unwrap_err();
    assert_names(&error, &server, &[image.layer.digest.as_ref()]);
    let short = image.layer.bytes[..LEN / 2].to_vec();
    let server = with_layer_fault(&image, move |_| Answer::Chunked(short.clone()));
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["is truncated", image.layer.digest.as_ref()]);
}

#[test]
fn an_oversized_stream_is_refused() {
    let image = image(LEN, Compression::Plain);
    let long = [&image.layer.bytes[..], b"more"].concat();
    let server = with_layer_fault(&image, move |_| Answer::Chunked(long.clone()));
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["is oversized", image.layer.digest.as_ref()]);
}

#[test]
fn a_manifest_or_config_with_the_wrong_content_is_refused() {
    let image = image(1000, Compression::Gzip);
    let (other, config) = (crate::layout::image(2000, Compression::Gzip), image.config.digest.clone());
    // By digest, another manifest is a lie; by tag it is another image.
    let manifest = other.manifest.bytes.to_vec();
    let server = FaultyServer::start(&image, move |_| Answer::Body(manifest.clone()));
    let pinned = server.reference().with_digest(image.manifest.digest.clone());
    let error = registry(PATIENT).resolve(&pinned, &amd64()).unwrap_err();
    assert!(matches!(error, ResolveError::WrongDigest { what: "manifest", .. }), "{error}");
    for (body, word) in [
        (image.config.bytes.to_vec().iter().map(|b| b ^ 1).collect::<Vec<u8>>(), "wrong config"),
        (b"{}".to_vec(), "of 2 bytes"),
    ] {
        let config = config.to_string();
        let server = FaultyServer::start(&image, move |asked| match asked.path.ends_with(&config) {
            true => Answer::Body(body.clone()),
            false => Answer::Usual,
        });
        let error = pull(&server).unwrap_err();
        assert_names(&error, &server, &[word, image.config.digest.as_ref()]);
    }
}

#[test]
fn a_manifest_without_end_is_cut_at_the_limit() {
    let image = image(1000, Compression::Gzip);
    let server = FaultyServer::start(&image, |asked| match asked.path.contains("/manifests/") {
        true => Answer::Chunked(vec![b' '; 6 << 20]),
        false => Answer::Usual,
    });
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["more than 4194304 bytes", "manifest 1 of image"]);
}

#[test]
fn a_busy_registry_is_asked_again_after_the_pause_it_asks_for() {
    let image = image(1000, Compression::Gzip);
    let server = with_layer_fault(&image, |asked| match asked.nth {
        0 => Answer::Status("429 Too Many Requests", "Retry-After: 1\r\n".to_owned()),
        1 => Answer::Status("503 Service Unavailable", String::new()),
        _ => Answer::Usual,
    });
    let start = Instant::now();
    assert_eq!(pull(&server), Ok(1));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_pause_beyond_the_bound_is_an_error_at_once() {
    let image = image(1000, Compression::Gzip);
    let server = with_layer_fault(&image, |_| {
        Answer::Status("429 Too Many Requests", "Retry-After: 3600\r\n".to_owned())
    });
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["asks to wait 3600 s"]);
    assert_eq!(server.layer_offsets(&image).len(), 1);
}

#[test]
fn a_registry_that_limits_requests_without_a_pause_is_not_said_to_ask_for_one() {
    let image = image(1000, Compression::Gzip);
    let server = with_layer_fault(&image, |_| Answer::Status("429 Too Many Requests", String::new()));
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["limits the rate of requests"]);
    assert!(!error.contains("to wait"), "{error}");
}

#[test]
fn a_registry_that_cannot_be_reached_is_told_of_once() {
    let registry = Registry::new(RegistryOptions {
        retry: RetryPolicy { attempts: 1, ..RetryPolicy::default() },
        ..RegistryOptions::default()
    })
    .unwrap();
    for name in ["localhost:1/x:1", "no-such-registry.invalid/x:1"] {
        let error = registry.resolve(&gaufre_image::Reference::parse(name).unwrap(), &amd64()).unwrap_err();
        let mut texts = vec![error.to_string()];
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            let text = cause.to_string();
            assert!(texts.iter().all(|outer| !outer.contains(&text)), "{text} is in {texts:?}");
            texts.push(text);
            next = cause.source();
        }
        assert!(!chain(&error).contains("client error"), "{texts:?}");
    }
}

#[test]
fn a_registry_that_keeps_failing_is_given_up_after_the_attempts() {
    let image = image(1000, Compression::Gzip);
    let server = with_layer_fault(&image, |_| Answer::Status("500 Internal Server Error", String::new()));
    let error = pull(&server).unwrap_err();
    assert_names(&error, &server, &["500 Internal Server Error", image.layer.digest.as_ref()]);
    assert_eq!(server.layer_offsets(&image).len(), 3);
}

#[test]
fn refusals_are_not_repeated() {
    let image = image(1000, Compression::Gzip);
    for (status, word) in [("404 Not Found", "has no layer"), ("401 Unauthorized", "it asks for a login")] {
        let server = with_layer_fault(&image, move |_| Answer::Status(status, String::new()));
        let error = pull(&server).unwrap_err();
        assert_names(&error, &server, &[word, image.layer.digest.as_ref()]);
        assert_eq!(server.layer_offsets(&image).len(), 1);
    }
}

#[test]
fn a_registry_that_hangs_gives_an_error_in_bounded_time() {
    let image = image(LEN, Compression::Plain);
    let start = Instant::now();
    let server = FaultyServer::start(&image, |_| Answer::Hang);
    let error = pull_within(IMPATIENT, &server).unwrap_err();
    assert_names(&error, &server, &["did not answer within"]);
    let server = with_layer_fault(&image, |_| Answer::Hang);
    assert_names(&pull_within(IMPATIENT, &server).unwrap_err(), &server, &["did not answer within"]);
    let server = with_layer_fault(&image, |_| Answer::HangAfter(1000));
    assert_names(
        &pull_within(IMPATIENT, &server).unwrap_err(),
        &server,
        &["broke after", "did not answer within"],
    );
    assert!(start.elapsed() < Duration::from_secs(300), "{:?}", start.elapsed());
}

#[test]
fn a_registry_that_trickles_gives_an_error_and_is_given_the_attempts() {
    let image = image(LEN, Compression::Plain);
    let server = with_layer_fault(&image, |_| Answer::Trickle);
    assert_names(&pull_within(IMPATIENT, &server).unwrap_err(), &server, &["broke after", "is too slow"]);
    let offsets = server.layer_offsets(&image);
    assert_eq!(offsets.len(), 3, "resumed twice: {offsets:?}");
    assert!(offsets[1] > Some(0) && offsets[2] > offsets[1], "{offsets:?}");
    let slow_once =
        with_layer_fault(&image, |asked| if asked.nth == 0 { Answer::Trickle } else { Answer::Usual });
    assert_eq!(pull_within(IMPATIENT, &slow_once), Ok(1));
    // 400 bytes of it would take longer than all attempts.
    let server = FaultyServer::start(&image, |asked| match asked.path.contains("/manifests/") {
        true => Answer::Trickle,
        false => Answer::Usual,
    });
    assert_names(&pull_within(IMPATIENT, &server).unwrap_err(), &server, &["is too slow"]);
}

#[test]
fn a_token_is_fetched_once_used_and_renewed_when_it_is_refused() {
    let image = image(1000, Compression::Gzip);
    let known = image.clone();
    let (sender, receiver) = std::sync::mpsc::channel::<String>();
    let realm = std::sync::Mutex::new((None::<String>, receiver));
    let server = FaultyServer::start(&image, move |asked| {
        let mut realm = realm.lock().unwrap();
        if realm.0.is_none() {
            realm.0 = realm.1.recv().ok();
        }
        let address = realm.0.clone().unwrap_or_default();
        let refused = || {
            let lines =
                format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"s\"\r\n");
            Answer::Status("401 Unauthorized", lines)
        };
        if asked.path.starts_with("/token") {
            assert!(asked.path.contains("scope=repository%3Aimage%3Apull"), "{}", asked.path);
            return Answer::Body(format!(r#"{{"token":"t{}","expires_in":300}}"#, asked.nth).into());
        }
        match &asked.authorization {
            None => refused(),
            Some(token) if token.starts_with("Bearer t") => match asked.is_layer(&known) && asked.nth == 0 {
                // As if the token had ended.
                true => refused(),
                false => Answer::Usual,
            },
            Some(other) => panic!("unexpected {other}"),
        }
    });
    sender.send(server.address.clone()).unwrap();
    assert_eq!(pull(&server), Ok(1));
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|asked| asked.path.starts_with("/token")).count(), 2);
}

#[test]
fn nobody_listening_is_said_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let reference = gaufre_image::Reference::parse(&format!("{address}/image:1")).unwrap();
    let error = registry(PATIENT).resolve(&reference, &amd64()).unwrap_err();
    assert!(chain(&error).contains(&format!("cannot connect to registry {address}")), "{}", chain(&error));
}
