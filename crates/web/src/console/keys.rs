//! Access keys of an organisation, and the receipt that shows a new secret once, ready to paste.

use super::confirm::Confirm;
use super::fields::Fields;
use super::frame::{
    Answer, Empty, Menu, Page, Says, go, mendable, name_of, org_of, parse, show, show_with, user_names,
};
use super::listing::Listing;
use super::person_field::{Suggestion, person, suggestions};
use crate::Web;
use crate::auth::Visitor;
use app::rows::{AccessKey, Org};
use app::{Failure, keys, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{OrgId, Zone};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/keys", get(list).post(create)).route("/keys/{key_id}/revoke", post(revoke))
}

/// A key in a list.
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) org: String,
    pub(super) made: String,
    /// When it was revoked; empty while it lives.
    pub(super) revoked: String,
    pub(super) revoke_href: String,
}

pub(super) fn key_row(
    key: &AccessKey,
    users: &BTreeMap<String, String>,
    orgs: &BTreeMap<OrgId, String>,
    zone: &Zone,
) -> KeyRow {
    KeyRow {
        id: key.key_id.clone(),
        name: key.name.clone(),
        user: name_of(users, &key.user.to_string()),
        org: orgs.get(&key.org).cloned().unwrap_or_else(|| key.org.to_string()),
        made: zone.time_of(key.created_us),
        revoked: key.revoked_us.map(|at_us| zone.time_of(at_us)).unwrap_or_default(),
        revoke_href: format!("/keys/{}/revoke", key.key_id),
    }
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    page: Page,
    says: Says,
    keys: Vec<KeyRow>,
    /// Where the revoke forms lead back to.
    back: String,
    create_href: String,
    listing: Listing,
    suggestions: Vec<Suggestion>,
    /// Whom the key is for.
    user: String,
    name: String,
    s3_url: String,
    empty: Empty,
}

async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    Query(query): Query<Fields>,
) -> Answer {
    let org = org_of(&visitor, &org).await?;
    keys_page(&web, &visitor, &org, StatusCode::OK, Says::default(), query).await
}

async fn keys_page(web: &Web, visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let found = keys::list(cx, org.id).await?;
    let users = user_names(visitor, org.id).await;
    let names = orgs::names(cx, org.id).await?;
    let base = format!("/o/{}/keys", org.id);
    let mut rows: Vec<KeyRow> = found.iter().map(|key| key_row(key, &users, &names, &org.zone)).collect();
    let text = |row: &KeyRow| format!("{} {} {} {}", row.id, row.name, row.user, row.org);
    let listing = Listing::cut(&mut rows, &entry, &base, text);
    let page = KeysPage {
        page: Page::at(visitor, org, Menu::Keys, "Access keys").await,
        says,
        keys: rows,
        listing,
        back: org.id.to_string(),
        create_href: base,
        suggestions: suggestions(visitor, org.id).await,
        user: match entry.get("user") {
            "" => visitor.0.user.email.clone(),
            named => named.to_owned(),
        },
        name: entry.get("name").to_owned(),
        s3_url: web.s3_url.clone(),
        empty: Empty::nothing_yet(
            "With an access key any S3 client can work. The form below makes the first one.",
            "",
            "",
        ),
    };
    show_with(status, &page)
}

async fn create(State(web): State<Web>, visitor: Visitor, Path(org): Path<String>, Form(form): Form<Fields>) -> Answer {
    visitor.check_csrf(form.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    match make(&visitor, org.id, &form).await {
        Ok((key, secret)) => {
            let page = Page::at(&visitor, &org, Menu::Keys, "Access key").await;
            receipt(&web, page, &key, &secret, &org.name, format!("/o/{}/keys", org.id))
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            keys_page(&web, &visitor, &org, status, says, form).await
        }
    }
}

async fn make(visitor: &Visitor, org: OrgId, form: &Fields) -> Result<(AccessKey, String), Failure> {
    let user = person(visitor, org, "user", form.get("user")).await?;
    keys::create(&visitor.0.cx, org, user, form.get("name")).await
}

/// How one client is set up.
pub(super) struct Example {
    pub(super) client: &'static str,
    pub(super) text: String,
}

#[derive(Template)]
#[template(path = "console/key_receipt.html")]
struct ReceiptPage {
    page: Page,
    key_id: String,
    secret: String,
    name: String,
    org_name: String,
    s3_url: String,
    examples: Vec<Example>,
    back_href: String,
}

/// The one time that a secret is shown.
pub(super) fn receipt(
    web: &Web,
    page: Page,
    key: &AccessKey,
    secret: &str,
    org_name: &str,
    back_href: String,
) -> Answer {
    show(&ReceiptPage {
        page,
        key_id: key.key_id.clone(),
        secret: secret.to_owned(),
        name: key.name.clone(),
        org_name: org_name.to_owned(),
        s3_url: web.s3_url.clone(),
        examples: examples(&web.s3_url, &key.key_id, secret),
        back_href,
    })
}

/// Lines to paste for the usual clients. Key ids and secrets have no character that a shell would read.
pub(super) fn examples(s3_url: &str, key_id: &str, secret: &str) -> Vec<Example> {
    let host = s3_url.split_once("://").map_or(s3_url, |(_, host)| host).trim_end_matches('/');
    let plain = if s3_url.starts_with("https://") { "" } else { " --no-ssl" };
    vec![
        Example {
            client: "aws",
            text: format!(
                "export AWS_ACCESS_KEY_ID={key_id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n\
                 export AWS_DEFAULT_REGION=us-east-1\nexport AWS_ENDPOINT_URL_S3={s3_url}\naws s3 ls\n"
            ),
        },
        Example {
            client: "rclone",
            text: format!(
                "rclone config create meterhouse s3 provider=Other access_key_id={key_id} \\\n  \
                 secret_access_key={secret} endpoint={s3_url} region=us-east-1 force_path_style=true\n\
                 rclone lsd meterhouse:\n"
            ),
        },
        Example {
            client: "boto3",
            text: format!(
                "import boto3\n\ns3 = boto3.client(\n    \"s3\",\n    endpoint_url=\"{s3_url}\",\n    \
                 aws_access_key_id=\"{key_id}\",\n    aws_secret_access_key=\"{secret}\",\n    \
                 region_name=\"us-east-1\",\n)\n\
                 print([bucket[\"Name\"] for bucket in s3.list_buckets()[\"Buckets\"]])\n"
            ),
        },
        Example {
            client: "s3cmd",
            text: format!(
                "s3cmd --access_key={key_id} --secret_key={secret} \\\n  --host={host} --host-bucket={host}{plain} ls\n"
            ),
        },
    ]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RevokeForm {
    csrf: String,
    /// The organisation whose list the visitor came from; anything else leads to his own page.
    back: String,
    sure: String,
}

async fn revoke(visitor: Visitor, Path(key_id): Path<String>, Form(form): Form<RevokeForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = parse::<OrgId>(&form.back, "organisation").ok();
    let back_href = org.map_or_else(|| "/me".to_owned(), |org| format!("/o/{org}/keys"));
    if form.sure != "yes" {
        let key = keys::to_revoke(&visitor.0.cx, &key_id).await?;
        return confirm_revoking(&visitor, &key, form.back, back_href).await;
    }
    keys::revoke(&visitor.0.cx, &key_id).await?;
    go(&back_href)
}

async fn confirm_revoking(visitor: &Visitor, key: &AccessKey, back: String, back_href: String) -> Answer {
    let page = match orgs::get(&visitor.0.cx, key.org).await {
        Ok(org) => Page::at(visitor, &org, Menu::Keys, "Revoke a key").await,
        Err(_) => Page::own(visitor, "Revoke a key").await?,
    };
    let users = user_names(visitor, key.org).await;
    show(&Confirm {
        page,
        heading: format!("Revoke the key {}?", key.name),
        consequences: vec![
            format!("Every program that uses {} is refused at once.", key.key_id),
            format!("It is a key of {}. Buckets and objects stay as they are.", name_of(&users, &key.user.to_string())),
            "It cannot be taken back: whoever needs access again gets a new key.".to_owned(),
        ],
        action: format!("/keys/{}/revoke", key.key_id),
        fields: vec![("back", back)],
        button: "Revoke".to_owned(),
        back_href,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_ready_to_paste() {
        let found = examples("http://127.0.0.1:9000", "MHKEY", "s3cr3t");
        assert!(found.iter().all(|example| example.text.contains("MHKEY") && example.text.contains("s3cr3t")));
        assert!(found[3].text.contains("--host=127.0.0.1:9000 --host-bucket=127.0.0.1:9000 --no-ssl ls"));
        assert!(
            found[1]
                .text
                .starts_with("rclone config create meterhouse s3 provider=Other access_key_id=MHKEY \\\n  secret")
        );
        let secure = examples("https://s3.example.net/", "MHKEY", "s3cr3t");
        assert!(secure[3].text.contains("--host-bucket=s3.example.net ls"));
    }
}
