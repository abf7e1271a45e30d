//! What may be done with a call whose outcome is in doubt.

use http::{Method, Request};

/// Whether a request may be sent again. Put it into the request's extensions to override what its method says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallClass {
    /// Changes nothing on the server: may be sent as often as one likes.
    Safe,
    /// Has the same effect however often it is acted on: may be sent again.
    Idempotent,
    /// Each time that it is acted on counts, such as the creation of an export job: sent again only when it was
    /// certainly not acted on.
    Once,
}

impl CallClass {
    /// The class of a request: the one in its extensions, else what its method promises (RFC 9110, section 9.2).
    pub fn of<B>(request: &Request<B>) -> Self {
        if let Some(class) = request.extensions().get::<Self>() {
            return *class;
        }
        match *request.method() {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Self::Safe,
            Method::PUT | Method::DELETE => Self::Idempotent,
            _ => Self::Once,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_decides_unless_the_request_says_otherwise() {
        let class = |method: Method| CallClass::of(&Request::builder().method(method).body(()).unwrap());
        assert_eq!(class(Method::GET), CallClass::Safe);
        assert_eq!(class(Method::PUT), CallClass::Idempotent);
        assert_eq!(class(Method::POST), CallClass::Once);
        let token = Request::post("/auth/v1/tokens").extension(CallClass::Idempotent).body(()).unwrap();
        assert_eq!(CallClass::of(&token), CallClass::Idempotent);
    }
}
