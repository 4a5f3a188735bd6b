//! That the demo sees what is wrong.

use super::*;

fn mark_of(text: &str) -> FileMark {
    FileMark { len: text.len() as u64, sha256: text.to_owned() }
}

fn evidence() -> Evidence {
    let mark = mark_of("a");
    Evidence {
        wrong_replies: 0,
        messages: 10,
        message_octets: 100,
        original: mark.clone(),
        sent: mark.clone(),
        fetched: mark.clone(),
        on_disk: mark,
    }
}

#[test]
fn one_difference_anywhere_is_a_failure() {
    assert_eq!(compare(&evidence()), Ok(()));
    let faults: [fn(&mut Evidence); 5] = [
        |evidence| evidence.wrong_replies = 1,
        |evidence| evidence.sent = mark_of("b"),
        |evidence| evidence.fetched = mark_of("b"),
        |evidence| evidence.on_disk = mark_of("b"),
        |evidence| evidence.on_disk.len += 1,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let mut evidence = evidence();
        fault(&mut evidence);
        assert!(compare(&evidence).is_err(), "fault {number}");
    }
}

#[test]
fn a_stack_that_did_not_run_is_a_failure() {
    assert_eq!(row_from("smp+tcp", Err("no".to_owned()), None).verdict, Verdict::Failed("no".to_owned()));
}

/// An echo that turns one bit in one reply of a hundred.
async fn corrupting_echo(connection: Connection) {
    let mut count = 0;
    while let Ok(Some(incoming)) = connection.receive().await {
        let Incoming::Request(request) = incoming else { continue };
        count += 1;
        let mut parts = request.message().clone().into_parts();
        if count == 50 {
            let mut octets = parts[0].to_vec();
            octets[0] ^= 1;
            parts[0] = octets.into();
        }
        let _ended = request.reply(Message::from(parts)).await;
    }
}

#[tokio::test]
async fn one_turned_bit_in_one_reply_is_counted() {
    let mut listener = postroad::listen("smp+mem://demo-corrupting").await.unwrap();
    let url = listener.url().clone();
    tokio::spawn(async move { corrupting_echo(listener.accept().await.unwrap()).await });
    let connection = postroad::connect(url).await.unwrap();
    let (wrong, _) = exchange(&connection, 100).await.unwrap();
    assert_eq!(wrong, 1);
}

#[test]
fn every_stack_of_the_library_is_in_the_demo() {
    assert_eq!(stacks(&[]).unwrap().len(), Stack::ALL.len());
    assert_eq!(stacks(&["smp+quic".to_owned()]).unwrap_err().exit_code, 2);
}
