"""The client of the service that this one replaces: what it sent and what it read must go on working as it was.

    TONEARM_SVM_URL  of the server of the support vector machine; http://localhost:8081 unless told otherwise
    TONEARM_VGG_URL  of the server of VGG19; http://localhost:8082 unless told otherwise
    TONEARM_AUDIO    a WAV file
"""

import os
import unittest

import requests


class TestGenrePrediction(unittest.TestCase):
    def setUp(self):
        self.svm_url = os.environ.get("TONEARM_SVM_URL", "http://localhost:8081").rstrip("/") + "/predict"
        self.vgg_url = os.environ.get("TONEARM_VGG_URL", "http://localhost:8082").rstrip("/") + "/vgg"
        self.audio_file = os.environ["TONEARM_AUDIO"]
        self.genres = [
            "blues",
            "classical",
            "country",
            "disco",
            "hiphop",
            "jazz",
            "metal",
            "pop",
            "reggae",
            "rock",
        ]

    def predict(self, url):
        with open(self.audio_file, "rb") as audio:
            response = requests.post(url, files={"audio_file": audio}, timeout=120)
        self.assertEqual(response.status_code, 200)
        self.assertIn("predicted_genre", response.json())
        self.assertIn(response.json()["predicted_genre"], self.genres)

    def test_svm(self):
        self.predict(self.svm_url)

    def test_vgg(self):
        self.predict(self.vgg_url)


if __name__ == "__main__":
    unittest.main(verbosity=2)
