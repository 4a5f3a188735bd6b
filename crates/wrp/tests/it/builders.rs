//! Messages that are valid, or are not built.

use wrp::{Crud, Event, Invalid, Message, MessageType, Qos, Request};

//= WRP-W6, WRP-V1
#[test]
fn builders_build_what_is_valid() {
    let event = Event::new("self:/x", "event:y")
        .partner_id("")
        .partner_id("p")
        .metadata("/k", "1")
        .metadata("/k", "2")
        .session_id("s")
        .qos(Qos::HIGH)
        .rdr(0)
        .build()
        .unwrap();
    assert_eq!((event.msg_type, &event.partner_ids[..]), (MessageType::EVENT, &["p".to_owned()][..]));
    assert_eq!(event.metadata, [("/k".to_owned(), "2".to_owned())]);
    let request = Request::new("self:", "dns:x", "t").accept("text/plain").header("a: b").build().unwrap();
    let reply = Request::reply_to(&request).status(200).build().unwrap();
    assert_eq!((&*reply.source, &*reply.dest, &*reply.transaction_uuid), ("dns:x", "self:", "t"));
    let types = [
        Crud::create("self:", "dns:x", "t"),
        Crud::retrieve("self:", "dns:x", "t"),
        Crud::update("self:", "dns:x", "t"),
        Crud::delete("self:", "dns:x", "t"),
    ]
    .map(|builder| builder.path("/p").build().unwrap().msg_type.0);
    assert_eq!(types, [5, 6, 7, 8]);
}

//= WRP-V1
#[test]
fn builders_refuse_what_is_not() {
    assert!(matches!(Event::new("self:", "event:y").status(200).build(), Err(Invalid::Unsupported { .. })));
    assert!(matches!(Request::new("self:", "dns:x", "").build(), Err(Invalid::Missing { .. })));
    assert!(matches!(Event::new("nobody", "event:y").build(), Err(Invalid::Locator { .. })));
    assert!(matches!(Event::new("self:", "event:y").qos(Qos(100)).build(), Err(Invalid::Qos(100))));
}

//= WRP-N19
#[test]
fn a_reply_goes_back_with_the_transaction_and_says_how_it_went() {
    for request in [
        Request::new("dns:a.example", "mac:112233445566/config", "t-1").payload("get").build().unwrap(),
        Crud::retrieve("dns:a.example", "mac:112233445566/config", "t-2").path("/x").build().unwrap(),
    ] {
        let reply = request.reply(200).payload("7").build().unwrap();
        let wanted = Message {
            msg_type: request.msg_type,
            source: "mac:112233445566/config".to_owned(),
            dest: "dns:a.example".to_owned(),
            transaction_uuid: request.transaction_uuid.clone(),
            status: Some(200),
            payload: Some("7".into()),
            ..Message::default()
        };
        assert_eq!(reply, wanted);
    }
}
