//! wechat.md §2: pictures.

use super::{article, picture, png, world, world_with};
use crate::Platform;
use image::ImageFormat::{Gif, Jpeg, Png, WebP};
use serde_json::json;

const INLINE: &str = "media/uploadimg";
const IMAGE: &str = "material/add_material";

async fn upload(world: &super::World, path: &str, kind: &str, parts: &[(&str, &[u8])]) -> i64 {
    let token = world.token().await;
    let target = format!("/wechat/cgi-bin/{path}?access_token={token}&type={kind}");
    world.upload(&target, parts).await.errcode()
}

#[tokio::test]
async fn each_bad_multipart_is_media_data_missing() {
    let world = world().await;
    let good = png();
    for (parts, code) in [
        (("name=\"media\"; filename=\"a.png\"", good.as_slice()), 0),
        (
            ("name=\"media\"; filename*=UTF-8''a.png", good.as_slice()),
            41005,
        ),
        (
            (
                "name=\"media\"; filename=\"a.png\"; filename*=UTF-8''a.png",
                good.as_slice(),
            ),
            41005,
        ),
        (("name=\"media\"", good.as_slice()), 41005),
        (
            ("name=\"file\"; filename=\"a.png\"", good.as_slice()),
            41005,
        ),
        (
            ("name=\"media\"; filename=\"图.png\"", good.as_slice()),
            41005,
        ),
        (
            ("name=\"media\"; filename=\"a.png\"", b"".as_slice()),
            44001,
        ),
    ] {
        for path in [INLINE, IMAGE] {
            assert_eq!(
                upload(&world, path, "image", &[parts]).await,
                code,
                "{path} {}",
                parts.0
            );
        }
    }
    let token = world.token().await;
    let target = format!("/wechat/cgi-bin/{INLINE}?access_token={token}");
    let bare = world
        .send("POST", &target, &[("content-type", "image/png")], &good)
        .await
        .unwrap();
    assert_eq!(bare.errcode(), 41005);
}

#[tokio::test]
async fn pictures_are_refused_by_type_size_and_content() {
    let world = world_with(|s| s.wechat.image_max_side = 64).await;
    let big = [png(), vec![0; 1 << 20]].concat();
    let broken = [&png()[..20], &[0; 40]].concat();
    let jpeg = picture(Jpeg, 8, 8);
    for (path, kind, name, bytes, code) in [
        (INLINE, "", "a.png", png(), 0),
        (INLINE, "", "a.jpg", jpeg.clone(), 0),
        (INLINE, "", "a.png", jpeg.clone(), 40005),
        (INLINE, "", "a.gif", picture(Gif, 8, 8), 40005),
        (INLINE, "", "a.webp", picture(WebP, 8, 8), 40005),
        (INLINE, "", "a.jpg", b"words".to_vec(), 40005),
        (INLINE, "", "a.png", big.clone(), 40009),
        (INLINE, "", "a.png", broken, 40137),
        (INLINE, "", "a.png", picture(Png, 1, 1), 40137),
        (INLINE, "", "a.png", picture(Png, 65, 8), 40137),
        (IMAGE, "image", "a.gif", picture(Gif, 8, 8), 0),
        (IMAGE, "image", "a.png", big, 0),
        (IMAGE, "image", "a.bmp", b"BM0123456789".to_vec(), 0),
        (IMAGE, "image", "a.webp", picture(WebP, 8, 8), 40005),
        (IMAGE, "thumb", "a.jpg", jpeg.clone(), 0),
        (IMAGE, "thumb", "a.png", png(), 40005),
        (
            IMAGE,
            "thumb",
            "a.jpg",
            [jpeg, vec![0; 64 << 10]].concat(),
            40009,
        ),
        (IMAGE, "voice", "a.mp3", vec![1], 40004),
        (IMAGE, "", "a.png", png(), 40004),
    ] {
        let disposition = format!("name=\"media\"; filename=\"{name}\"");
        let got = upload(&world, path, kind, &[(&disposition, &bytes)]).await;
        assert_eq!(got, code, "{path} {kind} {name} {} bytes", bytes.len());
    }
}

#[tokio::test]
async fn an_uploaded_picture_is_answered_without_errcode_and_served_from_here() {
    let world = world().await;
    let token = world.token().await;
    let target = format!("/wechat/cgi-bin/{INLINE}?access_token={token}");
    let answer = world
        .upload(&target, &[("name=\"media\"; filename=\"a.png\"", &png())])
        .await
        .json();
    assert!(answer.get("errcode").is_none());
    let url = answer["url"].as_str().unwrap();
    let path = url.strip_prefix(&world.base()).unwrap();
    assert_eq!(world.get(path).await.body, png());
}

#[tokio::test]
async fn materials_are_listed_newest_first_by_file_name_and_can_be_deleted_once() {
    let world = world().await;
    let token = world.token().await;
    let target = format!("/wechat/cgi-bin/{IMAGE}?access_token={token}&type=image");
    for name in ["one.png", "two.png", "three.png"] {
        let disposition = format!("name=\"media\"; filename=\"{name}\"");
        world.upload(&target, &[(&disposition, &png())]).await;
        world.clock.advance_seconds(1);
    }
    let page = json!({"type": "image", "offset": 1, "count": 1});
    let list = world
        .wechat("material/batchget_material", &page)
        .await
        .json();
    assert_eq!(
        (&list["total_count"], &list["item_count"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(list["item"][0]["name"], "two.png");
    let id = json!({"media_id": list["item"][0]["media_id"]});
    assert_eq!(
        world.wechat("material/del_material", &id).await.errcode(),
        0
    );
    assert_eq!(
        world.wechat("material/del_material", &id).await.errcode(),
        40007
    );
    let count = format!("/wechat/cgi-bin/material/get_materialcount?access_token={token}");
    assert_eq!(world.get(&count).await.json()["image_count"], 2);
    for (page, code) in [
        (json!({"type": "text", "offset": 0, "count": 1}), 40004),
        (json!({"type": "image", "offset": 0, "count": 21}), 40097),
        (json!({"type": "image", "count": 0}), 40097),
    ] {
        assert_eq!(
            world
                .wechat("material/batchget_material", &page)
                .await
                .errcode(),
            code
        );
    }
}

#[tokio::test]
async fn a_fresh_cover_may_need_a_moment_and_a_full_library_takes_no_more() {
    let world = world_with(|s| {
        s.wechat.material_settle_seconds = 3;
        s.wechat.material_max = 1;
    })
    .await;
    let draft = json!({"articles": [article(&world.cover().await)]});
    assert_eq!(world.wechat("draft/add", &draft).await.errcode(), 40007);
    world.clock.advance_seconds(3);
    assert_eq!(world.wechat("draft/add", &draft).await.errcode(), 0);
    let full = upload(
        &world,
        IMAGE,
        "image",
        &[("name=\"media\"; filename=\"b.png\"", &png())],
    )
    .await;
    assert_eq!(full, 45034);
    assert_eq!(
        world.applied(Platform::Wechat),
        ["material added", "draft added"]
    );
}
