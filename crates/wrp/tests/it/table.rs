//! Which type may carry which field: the table of the source, written down once more by hand.

use crate::event;
use bytes::Bytes;
use wrp::{Field, Invalid, Message, MessageType, Qos, Rule};

/// Authorization, request, event, create to delete, registration, alive, unknown.
const TABLE: [(Field, &str); 17] = [
    (Field::MsgType, "RRRRRRR"),
    (Field::Source, "-RRR---"),
    (Field::Dest, "-RRR---"),
    (Field::TransactionUuid, "-RoR---"),
    (Field::ContentType, "-ooo---"),
    (Field::Accept, "-o-o---"),
    (Field::Status, "Ro-o---"),
    (Field::Rdr, "-ooo---"),
    (Field::Headers, "-ooo---"),
    (Field::Metadata, "-ooo---"),
    (Field::Path, "---o---"),
    (Field::Payload, "-ooo---"),
    (Field::ServiceName, "----R--"),
    (Field::Url, "----R--"),
    (Field::PartnerIds, "-ooo---"),
    (Field::SessionId, "-ooo---"),
    (Field::Qos, "-ooo---"),
];

const COLUMN: [usize; 10] = [0, 1, 2, 3, 3, 3, 3, 4, 5, 6];

fn set(message: &mut Message, field: Field) {
    match field {
        Field::MsgType => {}
        Field::Source => message.source = "self:".into(),
        Field::Dest => message.dest = "event:x".into(),
        Field::TransactionUuid => message.transaction_uuid = "t".into(),
        Field::ContentType => message.content_type = "x".into(),
        Field::Accept => message.accept = "x".into(),
        Field::Status => message.status = Some(0),
        Field::Rdr => message.rdr = Some(0),
        Field::Headers => message.headers = vec![String::new()],
        Field::Metadata => message.metadata = vec![(String::new(), String::new())],
        Field::Path => message.path = "x".into(),
        Field::Payload => message.payload = Some(Bytes::from_static(b"x")),
        Field::ServiceName => message.service_name = "x".into(),
        Field::Url => message.url = "x".into(),
        Field::PartnerIds => message.partner_ids = vec![String::new()],
        Field::SessionId => message.session_id = "x".into(),
        Field::Qos => message.qos = Qos(1),
    }
}

/// The least that is valid.
fn least(msg_type: MessageType) -> Message {
    let mut message = Message { msg_type, ..Message::default() };
    for field in Field::ALL.into_iter().filter(|field| field.rule(msg_type) == Rule::Required) {
        set(&mut message, field);
    }
    message
}

//= WRP-F1, WRP-F2
#[test]
fn the_table_of_fields_is_that_of_the_source() {
    assert_eq!(TABLE.map(|(field, _)| field), Field::ALL);
    for (field, rules) in TABLE {
        assert_eq!(Field::from_key(field.name().as_bytes()), Some(field));
        assert_eq!(Field::from_key(field.name().to_uppercase().as_bytes()), None);
        for (msg_type, column) in MessageType::ALL.into_iter().zip(COLUMN) {
            let wanted = match rules.as_bytes()[column] {
                b'R' => Rule::Required,
                b'o' => Rule::Optional,
                _ => Rule::Refused,
            };
            assert_eq!(field.rule(msg_type), wanted, "{field:?} of {msg_type}");
        }
    }
}

//= WRP-V1, WRP-V2, WRP-V3
#[test]
fn each_type_is_valid_with_what_it_needs_and_what_it_may_and_not_without_or_with_more() {
    for msg_type in MessageType::ALL {
        assert_eq!(least(msg_type).validate(), Ok(()), "{msg_type}");
        for field in Field::ALL.into_iter().skip(1) {
            let mut more = least(msg_type);
            set(&mut more, field);
            match field.rule(msg_type) {
                Rule::Optional => assert_eq!(more.validate(), Ok(()), "{msg_type} with {field:?}"),
                Rule::Refused => assert_eq!(more.validate(), Err(Invalid::Unsupported { field, msg_type })),
                Rule::Required => {
                    let mut less = Message { msg_type, ..Message::default() };
                    let others = Field::ALL.into_iter().filter(|other| *other != field);
                    others
                        .filter(|other| other.rule(msg_type) == Rule::Required)
                        .for_each(|other| set(&mut less, other));
                    assert_eq!(less.validate(), Err(Invalid::Missing { field, msg_type }));
                }
            }
        }
    }
    for number in [i64::MIN, -1, 0, 1, 12, i64::MAX] {
        let message = Message { msg_type: MessageType(number), ..event() };
        assert_eq!(message.validate(), Err(Invalid::MessageType(number)));
    }
}

/// Faults are found in the order of the fields.
//= WRP-V4
#[test]
fn of_several_faults_the_first_in_order_is_reported() {
    let mut message = Message { msg_type: MessageType::EVENT, qos: Qos(100), accept: "x".into(), ..Message::default() };
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(message.validate().unwrap_err().to_string());
        match message.validate().unwrap_err() {
            Invalid::Missing { field, .. } => set(&mut message, field),
            Invalid::Unsupported { .. } => message.accept.clear(),
            _ => message.qos = Qos(99),
        }
    }
    let wanted = [
        "SimpleEvent needs a source",
        "SimpleEvent needs a dest",
        "SimpleEvent has no accept",
        "qos 100 is not 0 to 99",
    ];
    assert_eq!(found, wanted);
    assert_eq!(message.validate(), Ok(()));
}

//= WRP-V5
#[test]
fn locators_services_and_qos_are_checked() {
    let invalid = |change: fn(&mut Message)| {
        let mut message = event();
        change(&mut message);
        message.validate().unwrap_err().to_string()
    };
    assert!(invalid(|message| message.source = "localhost".into()).starts_with("source: \"localhost\" names nobody"));
    assert!(invalid(|message| message.dest = "mac:12".into()).contains("12 hexadecimal digits"));
    assert_eq!(invalid(|message| message.qos = Qos(-1)), "qos -1 is not 0 to 99");
    let mut registration = least(MessageType::SERVICE_REGISTRATION);
    registration.service_name = "a/b".into();
    assert_eq!(registration.validate(), Err(Invalid::ServiceName("a/b".into())));
}

//= WRP-T1, WRP-T2, WRP-T3, WRP-T4
#[test]
fn types_have_names_and_say_what_they_need() {
    let of = |wanted: fn(MessageType) -> bool| {
        (-1..14).map(MessageType).filter(|kind| wanted(*kind)).map(|kind| kind.0).collect::<Vec<_>>()
    };
    assert_eq!(of(MessageType::is_valid), (2..12).collect::<Vec<_>>());
    assert_eq!(of(MessageType::requires_transaction), [3, 5, 6, 7, 8]);
    assert_eq!(of(MessageType::supports_qos_ack), [3, 4, 5, 6, 7, 8]);
    for kind in MessageType::ALL.into_iter().skip(1) {
        let name = kind.name().unwrap();
        for text in [name.to_owned(), format!("{name}MessageType"), kind.0.to_string()] {
            assert_eq!(MessageType::from_name(&text), Some(kind), "{text}");
        }
    }
    assert_eq!(MessageType::from_name("event"), Some(MessageType::EVENT));
    for text in ["Event", "04", " 4", "2", "Authorization", "simpleevent", "", "MessageType", "12", "-1"] {
        assert_eq!(MessageType::from_name(text), None, "{text:?}");
    }
}

//= WRP-Q1
#[test]
fn quality_of_service_has_four_levels() {
    use wrp::QosLevel::{Critical, High, Low, Medium};
    let levels = [0, 24, 25, 49, 50, 74, 75, 99].map(|qos| Qos(qos).level());
    assert_eq!(levels, [Low, Low, Medium, Medium, High, High, Critical, Critical]);
    assert_eq!([-1, 0, 99, 100].map(|qos| Qos(qos).is_valid()), [false, true, true, false]);
    assert_eq!([Qos::LOW, Qos::MEDIUM, Qos::HIGH, Qos::CRITICAL].map(|qos| qos.0), [0, 25, 50, 75]);
}
