#!/usr/bin/env python3
"""Opens every page of the demo in headless Chromium, at 1280 and at 390 pixels, and fails where there is
nothing to see or a landmark, language, title or heading is missing. Installs Chromium where it is missing."""

import json, os, re, shutil, signal, subprocess, sys, tempfile, time, urllib.request

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def install():
    if shutil.which("chromium"):
        return
    subprocess.run(["apt-get", "update", "-q"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["apt-get", "install", "-y", "-q", "chromium", "fonts-noto-cjk"], check=True, stdout=subprocess.DEVNULL)


def dom(url, width):
    """The page as the browser has it, and the size of its picture."""
    with tempfile.TemporaryDirectory() as home:
        shot = os.path.join(home, "page.png")
        out = subprocess.run(["chromium", *FLAGS, f"--user-data-dir={home}/p", f"--window-size={width},2000",
                              f"--screenshot={shot}", "--dump-dom", url], capture_output=True, text=True, timeout=90)
        size = os.path.getsize(shot) if os.path.exists(shot) else 0
        return out.stdout, size


def main():
    install()
    folder = tempfile.mkdtemp()
    out_path = os.path.join(folder, "out.txt")
    with open(out_path, "w") as out:
        demo = subprocess.Popen(["./target/debug/lubu", "demo", "--folder", folder], stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.time() + 200
        while "Ctrl-C" not in open(out_path).read():
            if demo.poll() is not None or time.time() > deadline:
                sys.exit("the demo did not come up:\n" + open(out_path).read())
            time.sleep(0.5)
        text = open(out_path).read()
        token = open(os.path.join(folder, "secrets/token")).read()
        site = re.search(r"委网站 +(http://\S+)", text.split("Ctrl-C")[0].split("\n\n")[-1]).group(1)
        sandbox = re.search(r"读者看到的平台 +(http://\S+)", text).group(1)
        office = re.search(r"办公页面 +(http://\S+)", text).group(1)
        plain = re.sub(r"//[^@]*@", "//", office)
        ask = urllib.request.Request(plain + "v1/items", headers={"Authorization": "Bearer " + token})
        items = json.load(urllib.request.urlopen(ask))["items"]
        assert len(items) == 5, items
        posts = [one["url"] for item in items for one in item["deliveries"]]
        assert all(posts), posts
        pages = [site, site + "sitemap.xml", office, office + "items/" + items[0]["id"], sandbox,
                 sandbox + "wechat/", sandbox + "weibo/u/1234567890", sandbox + "portal/"] + posts
        broken = []
        for url in pages:
            for width in (1280, 390):
                html, size = dom(url, width)
                if size < 3000:
                    broken.append(f"{url} at {width}: nothing to see ({size} bytes)")
                if url.endswith(".xml"):
                    continue
                for need in ("<main", 'lang="zh', "<title>"):
                    if need not in html:
                        broken.append(f"{url} at {width}: no {need}")
                if "<h1" not in html:
                    broken.append(f"{url} at {width}: no h1")
        for url in posts:
            urllib.request.urlopen(url)
        print(f"{len(pages)} pages looked at, at 1280 and 390 pixels")
        if broken:
            sys.exit("\n".join(sorted(set(broken))))
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(40)
        shutil.rmtree(folder, ignore_errors=True)


main()
