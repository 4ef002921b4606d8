//! A request's way through the gateway: authenticate, process, meter, answer.

use crate::answer::{self, Reply};
use crate::inbound::{self, Inbound, Target};
use crate::meter::{CLIENT_GONE, Meter, MeteredBody};
use crate::port::{Port, PortError, VirtualBucket};
use crate::races::Races;
use crate::recorder::Recorder;
use crate::settings::Settings;
use base::{RequestId, World};
use http::{Method, Request, Response, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3::sigv4::{self, DUMMY_SECRET, Policy, SigningKeyCache, WireRequest};
use s3::{Body, Client, ClientError, Operation, Query, S3Error, names};
use serving::wire::Receipt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It is answered with an error.
    #[error(transparent)]
    Refused(#[from] S3Error),
    /// Nobody is left to answer.
    #[error("the client went away")]
    ClientGone,
    /// Its body stopped coming.
    #[error("the client is silent")]
    ClientSilent,
}

impl From<PortError> for Fault {
    fn from(error: PortError) -> Self {
        tracing::error!(%error, "state is not reachable");
        Self::Refused(S3Error::service_unavailable())
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        tracing::error!(%error, "upstream failed");
        Self::Refused(S3Error::service_unavailable())
    }
}

/// The gateway over any state.
pub struct Gateway<P> {
    pub(crate) port: Arc<P>,
    pub(crate) client: Arc<Client>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) settings: Arc<Settings>,
    /// Metering events on their way.
    pub(crate) recorder: Recorder,
    policy: Arc<Policy>,
    policy_received_host: Arc<Policy>,
    keys: Arc<SigningKeyCache>,
    unauthenticated: Arc<AtomicU64>,
    /// Writes on their way, of all threads.
    pub(crate) races: Arc<Races>,
}

impl<P: Port> Gateway<P> {
    /// Makes a gateway.
    pub fn new(port: P, client: Arc<Client>, world: Arc<dyn World>, settings: Settings) -> Self {
        let policy = Policy { region: settings.region.clone(), public_hosts: settings.public_hosts.clone() };
        Self {
            port: Arc::new(port),
            client,
            world,
            settings: Arc::new(settings),
            recorder: Recorder::default(),
            policy_received_host: Arc::new(Policy { public_hosts: Vec::new(), ..policy.clone() }),
            policy: Arc::new(policy),
            keys: Arc::default(),
            unauthenticated: Arc::default(),
            races: Arc::default(),
        }
    }

    /// The same gateway for a thread of its own: with its own connections to upstreams and its own events
    /// on their way, so that a request never changes threads.
    pub(crate) fn for_thread(&self) -> Result<Self, ClientError> {
        Ok(Self {
            port: Arc::clone(&self.port),
            client: Arc::new(self.client.with_own_connections()?),
            world: Arc::clone(&self.world),
            settings: Arc::clone(&self.settings),
            recorder: Recorder::default(),
            policy: Arc::clone(&self.policy),
            policy_received_host: Arc::clone(&self.policy_received_host),
            keys: Arc::clone(&self.keys),
            unauthenticated: Arc::clone(&self.unauthenticated),
            races: Arc::clone(&self.races),
        })
    }

    /// Gives the number of requests refused before their sender was known, since the start.
    #[must_use]
    pub fn unauthenticated_requests(&self) -> u64 {
        self.unauthenticated.load(Ordering::Relaxed)
    }

    /// Forgets the derived keys of a virtual key that was revoked.
    pub fn forget_key(&self, access_key_id: &str) {
        self.keys.forget(access_key_id);
    }

    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, source_ip: String) -> Response<Body> {
        let request_id = RequestId(self.world.fresh_id());
        let started_us = self.world.now_us();
        let (mut head, body) = request.into_parts();
        let receipt = head.extensions.remove::<Receipt>();
        let host = host_of(&head);
        let target = Target::parse(&host, head.uri.path(), self.settings.domain.as_deref());
        let is_head = head.method == Method::HEAD;
        if self.recorder.is_full() {
            tracing::error!("requests are refused: too many events wait to be recorded");
            return answer::refusal(&S3Error::slow_down(), &target, is_head, request_id);
        }
        let inbound = match self.authenticate(head, request_id, started_us, &host, target.clone()).await {
            Ok(inbound) => inbound,
            Err(error) => {
                self.unauthenticated.fetch_add(1, Ordering::Relaxed);
                tracing::info!(%request_id, source_ip, code = error.code, "request refused before authentication");
                return answer::refusal(&error, &target, is_head, request_id);
            }
        };
        let meter = Meter::new(Arc::clone(&self), &inbound, source_ip);
        if !inbound.operation.is_write() {
            return self.serve_read(inbound, body, meter, receipt).await;
        }
        // A write goes on when its client leaves after the last byte: what it did must be known.
        match tokio::spawn(self.serve_write(inbound, body, meter)).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(%request_id, %error, "request handler failed");
                answer::refusal(&S3Error::internal_error(), &target, is_head, request_id)
            }
        }
    }

    async fn authenticate(
        &self,
        head: request::Parts,
        request_id: RequestId,
        started_us: i64,
        host: &str,
        target: Target,
    ) -> Result<Inbound, S3Error> {
        if is_form_upload(&head, &target) && !is_signed(&head) {
            return Err(S3Error::not_implemented()
                .saying("Uploads by HTML form (POST policy) are not supported yet; use PUT or a presigned link."));
        }
        let path_and_query = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let wire = WireRequest { method: head.method.as_str(), path_and_query, headers: &head.headers };
        let claim = sigv4::parse(&wire)?;
        let caller = self.port.caller(&claim.access_key_id).await.map_err(|error| {
            tracing::error!(%error, "state is not reachable");
            S3Error::service_unavailable()
        })?;
        let secret = caller.as_ref().map_or(DUMMY_SECRET, |caller| caller.secret.as_str());
        // Another host name than the one received could name another bucket: then only the received one counts.
        let by_host = target.by_host;
        let policy = if by_host { &self.policy_received_host } else { &self.policy };
        let verified = sigv4::verify(&claim, &wire, secret, &self.keys, policy, started_us);
        let Some(caller) = caller else {
            return Err(S3Error::invalid_access_key_id().with("AWSAccessKeyId", claim.access_key_id));
        };
        let verified = verified?;
        // Whoever signed it is known: what is wrong with it is answered after it was taken down.
        let raw_query = head.uri.query().unwrap_or("");
        let (query, headers, refusal) = match inbound::effective(raw_query, head.headers.clone()) {
            Ok((query, headers)) => (query, headers, None),
            Err(error) => (Query::parse(raw_query), head.headers, Some(error)),
        };
        let operation =
            Operation::classify(&head.method, !target.bucket.is_empty(), !target.raw_key.is_empty(), &query, &headers);
        let mut inbound = Inbound {
            request_id,
            started_us,
            method: head.method,
            target,
            query,
            headers,
            operation,
            caller,
            verified,
            public_url: inbound::public_url(&self.settings, host),
            refusal,
        };
        if inbound.refusal.is_none() {
            inbound.refusal = crate::forward::check_headers(&inbound).err();
        }
        Ok(inbound)
    }

    async fn serve_read(
        self: Arc<Self>,
        inbound: Inbound,
        body: Incoming,
        mut meter: Meter<P>,
        receipt: Option<Receipt>,
    ) -> Response<Body> {
        let reply = self.process(&inbound, body, &mut meter).await;
        let reply = reply.unwrap_or_else(|fault| answer::of_fault(fault, &inbound));
        meter.answered(reply.status.as_u16(), &reply.error_code);
        answer::finish(reply, inbound.request_id).map(|body| MeteredBody::new(body, meter, receipt).boxed_unsync())
    }

    /// As [`Self::serve_read`], but the event is durable before the answer leaves.
    async fn serve_write(self: Arc<Self>, inbound: Inbound, body: Incoming, mut meter: Meter<P>) -> Response<Body> {
        let outcome = self.process(&inbound, body, &mut meter).await;
        let gone = matches!(outcome, Err(Fault::ClientGone));
        let cut = gone || matches!(outcome, Err(Fault::ClientSilent));
        let reply = outcome.unwrap_or_else(|fault| answer::of_fault(fault, &inbound));
        meter.answered(if gone { CLIENT_GONE } else { reply.status.as_u16() }, &reply.error_code);
        let bytes_out = if gone { 0 } else { reply.known_size() };
        if let Err(error) = meter.commit(bytes_out, cut).await {
            tracing::error!(request_id = %inbound.request_id, %error, "write not recorded, answering 503");
            return answer::refusal(&S3Error::service_unavailable(), &inbound.target, false, inbound.request_id);
        }
        answer::finish(reply, inbound.request_id)
    }

    async fn process(&self, inbound: &Inbound, body: Incoming, meter: &mut Meter<P>) -> Result<Reply, Fault> {
        if let Some(error) = &inbound.refusal {
            return Err(error.clone().into());
        }
        inbound.check_expected_owner()?;
        let buckets = self.port.buckets(&inbound.caller).await?;
        if inbound.target.bucket.is_empty() {
            return match inbound.operation {
                Operation::ListBuckets => self.list_buckets(inbound, &buckets).map_err(Fault::from),
                Operation::CorsPreflight => Err(S3Error::access_denied().into()),
                _ => Err(S3Error::method_not_allowed().into()),
            };
        }
        let found = buckets.iter().find(|bucket| bucket.name == inbound.target.bucket);
        if inbound.operation == Operation::CreateBucket {
            return Err(create_bucket(inbound, found).into());
        }
        let bucket = found.ok_or_else(S3Error::no_such_bucket)?;
        if inbound.target.raw_key.is_empty() {
            return self.process_bucket(inbound, bucket, body, meter).await;
        }
        self.process_object(inbound, &buckets, bucket, body, meter).await
    }
}

fn create_bucket(inbound: &Inbound, found: Option<&VirtualBucket>) -> S3Error {
    if found.is_some() {
        return S3Error::bucket_already_owned_by_you();
    }
    if !names::valid_bucket_name(&inbound.target.bucket) {
        return S3Error::invalid_bucket_name();
    }
    S3Error::access_denied().saying("Buckets are made by your administrator, as mappings of the name space.")
}

fn host_of(head: &request::Parts) -> String {
    let header = head.headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
    header.or_else(|| head.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("").to_owned()
}

fn is_signed(head: &request::Parts) -> bool {
    let query = Query::parse(head.uri.query().unwrap_or(""));
    head.headers.contains_key(http::header::AUTHORIZATION) || query.has("X-Amz-Signature")
}

fn is_form_upload(head: &request::Parts, target: &Target) -> bool {
    let form = head.headers.get(http::header::CONTENT_TYPE).is_some_and(|value| {
        value.as_bytes().get(..19).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/form-data"))
    });
    head.method == Method::POST && form && target.raw_key.is_empty()
}
