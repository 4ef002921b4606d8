//! Things that can be named by their id, and whose they are: what [`crate::Cx`] needs to look one up with the caller's
//! eyes.

use crate::authority::Named;
use base::{AccountId, CloudLinkId, InvoiceId, OrgId};
use store::accounts::{self, Account};
use store::cloud_links::{self, CloudLink};
use store::invoices::{self, Listed};
use store::keys::{self, AccessKey};
use store::{StoreError, Tx};

impl Named for Account {
    type Id = AccountId;
    const WHAT: &'static str = "S3 account";

    async fn load(tx: &mut Tx, id: AccountId) -> Result<Self, StoreError> {
        accounts::get(tx, id).await
    }

    fn org(&self) -> OrgId {
        self.org
    }
}

impl Named for CloudLink {
    type Id = CloudLinkId;
    const WHAT: &'static str = "cloud connection";

    async fn load(tx: &mut Tx, id: CloudLinkId) -> Result<Self, StoreError> {
        cloud_links::get(tx, id).await
    }

    fn org(&self) -> OrgId {
        self.org
    }
}

/// A bill, whose it is to read as its payer.
pub(crate) struct Bill(pub(crate) Listed, pub(crate) billing::Invoice);

impl Named for Bill {
    type Id = InvoiceId;
    const WHAT: &'static str = "invoice";

    async fn load(tx: &mut Tx, id: InvoiceId) -> Result<Self, StoreError> {
        let (listed, invoice) = invoices::get(tx, id).await?;
        Ok(Self(listed, invoice))
    }

    fn org(&self) -> OrgId {
        self.0.payer
    }
}

impl Named for AccessKey {
    type Id = String;
    const WHAT: &'static str = "access key";

    async fn load(tx: &mut Tx, id: String) -> Result<Self, StoreError> {
        keys::get(tx, &id).await
    }

    fn org(&self) -> OrgId {
        self.org
    }
}
