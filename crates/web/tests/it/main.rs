//! The faces as programs see them: requests in, answers out, over the router.

mod scim;
