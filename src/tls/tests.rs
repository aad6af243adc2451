//! What is believed and what is refused, with which words.

mod forge;
mod opening;

use jiff::Timestamp;
use tokio_rustls::rustls::pki_types::CertificateDer;

use self::forge::{Desk, Forge, Pair, der, holder};
use super::{dates, *};
use crate::cluster::ServerId;

fn now() -> Timestamp {
    Timestamp::now()
}

fn of(pair: &Pair) -> Vec<CertificateDer<'static>> {
    vec![der(&pair.certificate)]
}

/// Why a server would not start with this certificate.
#[track_caller]
fn refused(pair: &Pair, ca: &str, words: &[&str]) {
    let desk = Desk::with(pair, ca);
    let error = check(&desk.files(), &holder(), now()).expect_err("it is wrong").to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in: {error}");
    }
}

#[test]
fn a_certificate_is_about_the_server_whose_name_it_carries_and_about_no_other() {
    let forge = Forge::new();
    let named = |names: &[&str]| member(&of(&forge.sign(names, |_| {})), "demo");
    assert_eq!(named(&["box1", "chinwag:demo/server/7"]), Ok(ServerId(7)));
    assert!(matches!(named(&["box1"]), Err(NoMember::NoServer(_))));
    for wrong in [
        "https://demo/server/7",
        "chinwag:demo/server/",
        "chinwag:demo/server/07",
        "chinwag:demo/server/+7",
        "chinwag:demo/server/7/",
        "chinwag:demo/client/7",
        "CHINWAG:demo/server/7",
    ] {
        assert!(matches!(named(&[wrong]), Err(NoMember::NoServer(_))), "{wrong}");
    }
    let another = Identity { cluster: "other".into(), server: ServerId(7) };
    assert_eq!(named(&["chinwag:other/server/7"]), Err(NoMember::Another(another)));
    let two = ["chinwag:demo/server/1", "chinwag:demo/server/2"];
    assert_eq!(named(&two), Err(NoMember::Several));
    let elsewhere_too = ["chinwag:demo/server/1", "chinwag:other/server/1"];
    assert_eq!(named(&elsewhere_too), Err(NoMember::Several));
    assert_eq!(member(&[], "demo"), Err(NoMember::Nothing));
    assert_eq!(member(&[CertificateDer::from(vec![1, 2, 3])], "demo"), Err(NoMember::Unreadable));
}

#[test]
fn what_the_others_would_refuse_is_refused_before_a_server_starts_with_it() {
    let (forge, other) = (Forge::new(), Forge::new());
    let good = forge.server();
    let desk = Desk::with(&good, &forge.pem);
    check(&desk.files(), &holder(), now()).expect("it is right");

    let names = ["127.0.0.1", "chinwag:demo/server/1"];
    let expired = forge.sign(&names, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    refused(&expired, &forge.pem, &["own.pem", "expired on 2020-01-02", "server certs --renew"]);
    let early = forge.sign(&names, |params| params.not_before = rcgen::date_time_ymd(2070, 1, 2));
    refused(&early, &forge.pem, &["own.pem", "valid from 2070-01-02", "clock"]);
    refused(&other.server(), &forge.pem, &["own.pem", "not signed by the authority in", "ca.pem"]);
    let elsewhere = forge.sign(&["10.0.0.9", "box9", "chinwag:demo/server/1"], |_| {});
    refused(&elsewhere, &forge.pem, &["own.pem", "not for 127.0.0.1", "10.0.0.9, box9"]);
    let nobody = forge.sign(&["127.0.0.1"], |_| {});
    refused(&nobody, &forge.pem, &["own.pem", "chinwag:demo/server/1", "server certs"]);
    let second = forge.sign(&["127.0.0.1", "chinwag:demo/server/2"], |_| {});
    refused(&second, &forge.pem, &["own.pem", "chinwag:demo/server/1"]);
    let caller_alone = forge.sign(&names, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    refused(&caller_alone, &forge.pem, &["own.pem", "another purpose"]);
    let mixed = Pair { key: forge.server().key, ..forge.server() };
    refused(&mixed, &forge.pem, &["own.key", "not the key of", "own.pem"]);
    let no_key = Pair { key: good.certificate.clone(), ..forge.server() };
    refused(&no_key, &forge.pem, &["own.key", "no private key"]);
    let nothing = Pair { certificate: "nothing".into(), ..forge.server() };
    refused(&nothing, &forge.pem, &["own.pem", "no certificate"]);
    refused(&good, "nothing", &["ca.pem", "no certificate"]);
    let missing = Files { key: "/nowhere/key".into(), ..desk.files() };
    let error = check(&missing, &holder(), now()).expect_err("it is not there").to_string();
    assert!(error.contains("/nowhere/key") && error.contains("cannot read"), "{error}");
}

#[test]
fn without_an_authority_for_callers_a_certificate_of_any_authority_that_names_the_address_will_do()
{
    let forge = Forge::new();
    let desk = Desk::with(&forge.sign(&["127.0.0.1"], |_| {}), &forge.pem);
    let files = Files { client_ca: None, ..desk.files() };
    check(&files, &holder(), now()).expect("it is right");
}

#[test]
fn the_last_day_is_read_from_certificates_and_authorities() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let expiries = check(&desk.files(), &holder(), now()).expect("it is right");
    let days: Vec<String> = expiries.iter().map(ToString::to_string).collect();
    assert_eq!(days.len(), 2, "one a file: {days:?}");
    assert!(days[0].ends_with("own.pem is valid until 2080-01-02 00:00 UTC"), "{days:?}");
    assert!(days[1].ends_with("ca.pem is valid until 2090-01-02 00:00 UTC"), "{days:?}");
    // A certificate that has ended has a last day all the same.
    let ended = forge.sign(&[], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    let until = dates::expiry(&der(&ended.certificate)).map(dates::day);
    assert_eq!(until.as_deref(), Some("2020-01-02 00:00 UTC"));
}

#[test]
fn an_operator_is_told_two_weeks_before_a_certificate_ends() {
    let until: Timestamp = "2030-06-15T00:00:00Z".parse().expect("a time");
    let expiry = Expiry { path: "own.pem".into(), until };
    let at = |text: &str| expiry.warning(text.parse().expect("a time"));
    assert_eq!(at("2030-06-01T00:00:00Z"), None);
    let told = at("2030-06-01T00:00:01Z").expect("it is near");
    assert_eq!(told, "the certificate in own.pem expires in 13 days, on 2030-06-15 00:00 UTC");
    assert!(at("2030-06-13T12:00:00Z").expect("nearer").contains("in 1 day,"));
    assert!(at("2030-06-14T12:00:00Z").expect("nearer").contains("within a day"));
    assert!(at("2030-06-15T00:00:01Z").expect("over").contains("expired on 2030-06-15"));
}

#[test]
fn changed_files_are_taken_up_once_they_stay_and_broken_ones_never() {
    let forge = Forge::new();
    let desk = Desk::with(&forge.server(), &forge.pem);
    let mut keeper = Keeper::open(desk.files(), holder()).expect("they are right");
    let mut server = keeper.server();
    server.mark_unchanged();
    let mut look = |keeper: &mut Keeper| {
        keeper.look(desk.files().read(), now());
        let changed = server.has_changed().expect("it is kept");
        server.mark_unchanged();
        changed
    };
    assert!(!look(&mut keeper), "nothing has changed");
    let next = forge.server();
    desk.write("own.pem", &next.certificate);
    assert!(!look(&mut keeper), "somebody may be writing");
    desk.write("own.key", &next.key);
    assert!(!look(&mut keeper), "somebody may still be writing");
    assert!(look(&mut keeper), "it stays");
    assert!(!look(&mut keeper), "once is enough");

    desk.write("own.pem", "broken");
    assert!(!look(&mut keeper) && !look(&mut keeper) && !look(&mut keeper), "it cannot be used");
    std::fs::remove_file(desk.path("own.pem")).expect("it was there");
    assert!(!look(&mut keeper) && !look(&mut keeper), "it is gone");
    desk.put(&forge.server());
    assert!(!look(&mut keeper));
    assert!(look(&mut keeper), "a good one comes after all");
}
