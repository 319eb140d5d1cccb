"""Prints whom the API takes a client certificate for, or the status that it answers."""

import json
import os
import ssl
import urllib.error
import urllib.request

context = ssl.create_default_context(cafile=os.environ["CA"])
context.check_hostname = False  # the address of the test is no name
context.load_cert_chain(os.environ["CERTIFICATE"], os.environ["KEY"])
request = urllib.request.Request(os.environ["URL"] + "/v1/whoami")
if os.environ["ORGANISATION"]:
    request.add_header("Keyward-Organisation", os.environ["ORGANISATION"])
try:
    with urllib.request.urlopen(request, context=context, timeout=20) as response:
        print(json.load(response)["principal"])
except urllib.error.HTTPError as error:
    print(error.code)
