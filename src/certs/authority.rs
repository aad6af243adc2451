//! The private authority of one cluster.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use super::{AUTHORITY_DAYS, CertsError, folder::Folder};
use crate::tls::Holder;

/// A certificate and its key, as they stand in files.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

/// What signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own last day.
    ends: Option<Date>,
}

impl Authority {
    /// The one in the folder, if there is one. Its name follows from the cluster's, and whether the
    /// certificate there says the same shows itself when what it signs is checked.
    pub(super) fn load(folder: &Folder, cluster: &str) -> Result<Option<Authority>, CertsError> {
        if !super::folder::both(&folder.authority(), &folder.authority_key())? {
            return Ok(None);
        }
        let key = KeyPair::from_pem(&Zeroizing::new(folder.read(&folder.authority_key())?))?;
        Ok(Some(Authority::new(folder, Issuer::new(params(cluster), key))?))
    }

    /// Makes a new one and keeps it in the folder.
    pub(super) fn make(folder: &Folder, cluster: &str) -> Result<Authority, CertsError> {
        let key = KeyPair::generate()?;
        let params = params(cluster);
        let certificate = params.self_signed(&key)?.pem();
        let signed = Signed { certificate, key: Zeroizing::new(key.serialize_pem()) };
        folder.put_authority(&signed)?;
        Authority::new(folder, Issuer::new(params, key))
    }

    fn new(folder: &Folder, issuer: Issuer<'static, KeyPair>) -> Result<Authority, CertsError> {
        let path = folder.authority();
        let until = folder.until(&path)?;
        if until.is_some_and(|until| until < Timestamp::now()) {
            return Err(CertsError::Expired { path });
        }
        Ok(Authority { issuer, ends: until.map(utc) })
    }

    /// A new key, and a certificate for it that names the server's address and the server itself. It may
    /// be shown when called and when calling.
    pub(super) fn sign(&self, holder: &Holder, days: u32) -> Result<Signed, CertsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![holder.host.clone()])?;
        params.subject_alt_names.push(SanType::URI(holder.identity.to_string().try_into()?));
        let identity = &holder.identity;
        params.distinguished_name =
            named(&format!("{} server {}", identity.cluster, identity.server));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        valid_until(&mut params, self.ends.map_or(last_day(days), |ends| ends.min(last_day(days))));
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed { certificate, key: Zeroizing::new(key.serialize_pem()) })
    }
}

fn params(cluster: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("{cluster} authority"));
    // It signs servers, and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_until(&mut params, last_day(AUTHORITY_DAYS));
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "Chinwag");
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday on, for other machines' clocks differ, until the beginning of a day.
fn valid_until(params: &mut CertificateParams, end: Date) {
    let date = |date: Date| {
        let part = |number: i8| u8::try_from(number).expect("months and days are positive");
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = date(utc(Timestamp::now()).saturating_sub(1.day()));
    params.not_after = date(end);
}

fn last_day(days: u32) -> Date {
    utc(Timestamp::now()).saturating_add((i64::from(days) + 1).days())
}

fn utc(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}
